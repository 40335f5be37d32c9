/* SPDX-License-Identifier: BSD-2-Clause
 *
 * writer.h -- part of pack.h.
 */
#include "wire/pack.h"
