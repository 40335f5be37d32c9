/* SPDX-License-Identifier: BSD-2-Clause
 *
 * model_sort.h -- is part of model.h.
 */
#include "policy/model.h"
