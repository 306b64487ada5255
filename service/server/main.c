/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmem-server: the thin main. Everything is in the library, so that tests link what ships. */

#include "service/server/start.h"

int main(int argc, char **argv) {
        return server_main(argc, argv);
}
