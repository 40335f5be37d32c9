/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cursor.h -- part of pack.h.
 */
#include "wire/pack.h"
