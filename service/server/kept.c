/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The definition that is being served, for a successor. What is read here may be anybody's. */

#include "service/server/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"
#include "service/core/definition.h"

/* What could shrink under us is not ours. */
#define KEPT_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Another layout gets another one. */
#define KEPT_MAGIC UINT64_C(0x3130666544687649)

typedef struct KeptArea {
        uint64_t magic;
        uint32_t current; /* of the texts; written last */
        uint32_t lengths[2];
        char texts[2][DEFINITION_TEXT_MAX];
} KeptArea;

struct Kept {
        KeptArea *area; /* mapped */
};

static int kept_destructor(Kept *kept) {
        if (kept->area) {
                munmap(kept->area, sizeof(*kept->area));
        }
        return 0;
}

static int kept_map(void *ctx, int fd, Kept **ret) {
        Kept *kept = talloc_zero(ctx, Kept);
        void *address;

        if (!kept) {
                return -ENOMEM;
        }
        talloc_set_destructor(kept, kept_destructor);
        address = mmap(NULL, sizeof(*kept->area), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (address == MAP_FAILED) {
                int r = errno_negative();

                talloc_free(kept);
                return r;
        }
        kept->area = address;
        *ret = kept;
        return 0;
}

int kept_new(void *ctx, Kept **ret, int *ret_fd) {
        cleanup_close int fd = memfd_create("ivshmem-definition", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int r;

        if (fd < 0 || ftruncate(fd, sizeof(KeptArea)) < 0 || fchmod(fd, 0600) < 0 ||
            fcntl(fd, F_ADD_SEALS, KEPT_SEALS) < 0) {
                return errno_negative();
        }
        r = kept_map(ctx, fd, ret);
        if (r < 0) {
                return r;
        }
        (*ret)->area->magic = KEPT_MAGIC;
        *ret_fd = fd_steal(&fd);
        return 0;
}

int kept_open(void *ctx, int fd, Kept **ret) {
        struct stat st;
        Kept *kept;
        int r;

        if (fstat(fd, &st) < 0) {
                return errno_negative();
        }
        if ((fcntl(fd, F_GET_SEALS) & KEPT_SEALS) != KEPT_SEALS || st.st_size != sizeof(KeptArea)) {
                return -EINVAL;
        }
        r = kept_map(ctx, fd, &kept);
        if (r < 0) {
                return r;
        }
        if (kept->area->magic != KEPT_MAGIC) {
                talloc_free(kept);
                return -EINVAL;
        }
        *ret = kept;
        return 0;
}

/* The other one of the two, whatever stands there. */
static int kept_write(KeptArea *area, const char *text) {
        uint32_t next = area->current == 0;
        size_t length = strlen(text);

        if (length > DEFINITION_TEXT_MAX) {
                return -EINVAL;
        }
        memcpy(area->texts[next], text, length);
        area->lengths[next] = (uint32_t) length;
        __atomic_store_n(&area->current, next, __ATOMIC_RELEASE);
        return 0;
}

int kept_set(Kept *kept, const Definition *definition) {
        Definition *copy;
        char *text;
        int r;

        /* The values of a running domain and those of a changed definition may not go together in a text. */
        r = definition_copy(kept, definition, &copy);
        if (r < 0) {
                return r;
        }
        text = definition_print(copy, copy);
        r = text ? kept_write(kept->area, text) : -ENOMEM;
        talloc_free(copy);
        return r;
}

char *kept_text(void *ctx, const Kept *kept, size_t *ret_length) {
        const KeptArea *area = kept->area;
        uint32_t current = __atomic_load_n(&area->current, __ATOMIC_ACQUIRE), length;
        char *text;

        if (current > 1) {
                return NULL;
        }
        length = area->lengths[current];
        if (length == 0 || length > DEFINITION_TEXT_MAX) {
                return NULL;
        }
        text = talloc_memdup(ctx, area->texts[current], length);
        if (text) {
                *ret_length = length;
        }
        return text;
}
