/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Definitions for tests that are not about parsing them. */
#pragma once

#include "service/core/definition.h"

/* What a text defines, as a chunk of `ctx`; fails the test when it is refused. */
Definition *definition_of(void *ctx, const char *text);
