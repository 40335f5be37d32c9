/* SPDX-License-Identifier: BSD-2-Clause
 *
 * main.c -- waymarkctl begins here; ctl/cli.c does the rest.
 */
#include "ctl/cli.h"
#include "ctl/verbs.h"

int main(int argc, char **argv)
{
    return cli_main(ctl_verbs, argc, argv);
}
