/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What ivshmem-server does from its command line to its end. */
#pragma once

/* Runs the program; returns its exit status. Says on standard error, or in the journal, why it failed. */
int server_main(int argc, char **argv);
