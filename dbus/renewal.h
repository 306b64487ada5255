/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What polkit let a client see, asked anew. Polkit says that something has changed at each login, too, and not what: a
 * client goes on seeing what it saw until polkit has answered that it may not. One question at a time.
 */
#pragma once

typedef struct Client Client;
typedef struct Polkit Polkit;
typedef struct Renewal Renewal;

/* Begins to ask about all that the client was granted, once more if that is being done just now. Whatever cannot be asked
 * about is taken back. */
void renewal_begin(Polkit *polkit, Client *client);
