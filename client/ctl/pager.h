/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Standard output through $SYSTEMD_PAGER, $PAGER or less, when it is a terminal. */
#pragma once

#include "client/ctl/ctl.h"

/* Does nothing where there is to be no pager, or is one already. Without one that can be started, goes on without. */
void pager_open(Ctl *ctl);

/* Waits until it ends. */
void pager_close(Ctl *ctl);
