/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl reload: the manager reads its configuration and all definitions again. */

#include "client/ctl/call.h"
#include "client/ctl/verbs.h"

ExitStatus verb_reload(Ctl *ctl) {
        return call(ctl, &manager_target, "Reload", "reload", NULL, "");
}
