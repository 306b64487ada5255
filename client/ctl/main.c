/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl: the thin main. Everything is in the library, so that tests link what ships. */

#include "client/ctl/ctl.h"

int main(int argc, char **argv) {
        return ctl_main(argc, argv);
}
