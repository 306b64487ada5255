/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Has a running server read its definition again, and waits for what came of it: for the service manager, which is to say
 * so when the reload is done, and whether it was. The answer comes over the control link; where there is none
 * (ivshmem-control@.socket needs a user for the manager) by way of the service manager itself, which then knows only when.
 */
#pragma once

/* 0; -EBADMSG with *ret_error (a chunk of `ctx`) when it was refused, which the server has logged by now; another negative
 * errno with *ret_error when nobody could be asked. */
int reload_request(void *ctx, const char *domain, char **ret_error);
