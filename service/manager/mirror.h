/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a domain's server says, as the domain's peers and counters. A server that was lost and found again is compared with
 * what was known of it: only what really changed is told. */
#pragma once

#include "service/manager/domain.h"
#include "service/manager/link.h"

/* Follows the server of a domain that runs. -ENOMEM. */
int mirror_start(Domain *domain);

/* The server is gone, and its peers with it when it is `over`. Else the next one is asked who is still there. */
void mirror_stop(Domain *domain, bool over);

/* As link_request(). FAILURE_NOT_RUNNING when there is no server. */
int mirror_request(Domain *domain, const ControlRecord *request, LinkDone done, void *userdata,
                   Failure *ret_failure);
