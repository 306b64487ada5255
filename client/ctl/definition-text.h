/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of a definition (ivshmem.domain(5)) as settings, and what differs between two. What keys mean, and what their
 * values may be, is the manager's to judge. */
#pragma once

#include "client/ctl/settings.h"

/* -EINVAL and *ret_error, a chunk of `ctx`: "FILE:LINE: what is wrong". */
int definition_text_parse(void *ctx, const char *text, const char *file, Settings **ret, char **ret_error);

/* What has to be set to come from one to the other: an empty value is the default; all [Peer] sections where one differs. A chunk
 * of `ctx`. */
Settings *definition_text_compare(const void *ctx, const Settings *before, const Settings *after);
