/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmem-prepare: the thin main. Everything is in the library, so that tests link what ships. */

#include "service/prepare/prepare.h"

int main(int argc, char **argv) {
        return prepare_main(argc, argv);
}
