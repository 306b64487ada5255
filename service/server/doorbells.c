/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The eventfds of the seats. Peers hold the same open files: O_NONBLOCK is theirs to change at any time, so it is
 * never relied on. */

#include "service/server/doorbells.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"

typedef struct Bank {
        uint32_t n;
        int fds[];
} Bank;

struct Doorbells {
        uint32_t vectors;
        uint32_t n_banks;
        Bank **banks; /* by VM ID; NULL: not opened */
};

static int bank_destructor(Bank *bank) {
        for (uint32_t i = 0; i < bank->n; i++) {
                close(bank->fds[i]);
        }
        return 0;
}

int doorbells_new(void *ctx, uint32_t vectors, Doorbells **ret) {
        Doorbells *doorbells = talloc_zero(ctx, Doorbells);

        if (!doorbells) {
                return -ENOMEM;
        }
        doorbells->vectors = vectors;
        *ret = doorbells;
        return 0;
}

static Bank *bank_empty(void *ctx, uint32_t vectors) {
        Bank *bank = talloc_size(ctx, sizeof(*bank) + vectors * sizeof(int));

        if (bank) {
                talloc_set_name_const(bank, "Bank");
                bank->n = 0;
                talloc_set_destructor(bank, bank_destructor);
        }
        return bank;
}

static int bank_new(void *ctx, uint32_t vectors, Bank **ret) {
        Bank *bank = bank_empty(ctx, vectors);

        if (!bank) {
                return -ENOMEM;
        }
        while (bank->n < vectors) {
                int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

                if (fd < 0) {
                        int r = errno_negative();

                        talloc_free(bank);
                        return r;
                }
                bank->fds[bank->n++] = fd;
        }
        *ret = bank;
        return 0;
}

/* Makes room for the banks up to this VM ID. */
static int doorbells_grow(Doorbells *doorbells, uint32_t vm_id) {
        uint32_t n = doorbells->n_banks ?: 16;
        Bank **banks;

        if (vm_id < doorbells->n_banks) {
                return 0;
        }
        while (n <= vm_id) {
                n *= 2;
        }
        banks = talloc_realloc(doorbells, doorbells->banks, Bank *, n);
        if (!banks) {
                return -ENOMEM;
        }
        memset(banks + doorbells->n_banks, 0, (n - doorbells->n_banks) * sizeof(*banks));
        doorbells->banks = banks;
        doorbells->n_banks = n;
        return 0;
}

int doorbells_open(Doorbells *doorbells, uint32_t vm_id) {
        int r = doorbells_grow(doorbells, vm_id);

        if (r < 0 || doorbells->banks[vm_id]) {
                return r;
        }
        return bank_new(doorbells, doorbells->vectors, &doorbells->banks[vm_id]);
}

int doorbells_restore(Doorbells *doorbells, uint32_t vm_id, const int *fds) {
        int r = doorbells_grow(doorbells, vm_id);
        Bank *bank = r < 0 ? NULL : bank_empty(doorbells, doorbells->vectors);

        if (!bank) {
                for (uint32_t i = 0; i < doorbells->vectors; i++) {
                        close(fds[i]);
                }
                return -ENOMEM;
        }
        memcpy(bank->fds, fds, doorbells->vectors * sizeof(int));
        bank->n = doorbells->vectors;
        doorbells->banks[vm_id] = bank;
        return 0;
}

const int *doorbells_fds(const Doorbells *doorbells, uint32_t vm_id) {
        assert(vm_id < doorbells->n_banks && doorbells->banks[vm_id]);
        return doorbells->banks[vm_id]->fds;
}

size_t doorbells_count(const Doorbells *doorbells) {
        size_t n = 0;

        for (uint32_t id = 0; id < doorbells->n_banks; id++) {
                n += doorbells->banks[id] ? doorbells->vectors : 0;
        }
        return n;
}

size_t doorbells_list_fds(const Doorbells *doorbells, int *ret) {
        size_t n = 0;

        for (uint32_t id = 0; id < doorbells->n_banks; id++) {
                const Bank *bank = doorbells->banks[id];

                if (bank) {
                        memcpy(ret + n, bank->fds, bank->n * sizeof(int));
                        n += bank->n;
                }
        }
        return n;
}

int doorbells_fd(const Doorbells *doorbells, uint32_t vm_id, uint32_t vector) {
        assert(vm_id < doorbells->n_banks && doorbells->banks[vm_id] && vector < doorbells->vectors);
        return doorbells->banks[vm_id]->fds[vector];
}

void doorbells_ring(const Doorbells *doorbells, uint32_t vm_id, uint32_t vector) {
        static const uint64_t once = 1;
        struct pollfd pollfd = { .fd = doorbells_fd(doorbells, vm_id, vector), .events = POLLOUT };

        /* An eventfd takes no RWF_NOWAIT for writing, so that it is asked before. A peer that made its doorbell blocking and
         * fills it right here could keep us waiting; it would be its own domain that the watchdog has to help. */
        if (poll(&pollfd, 1, 0) > 0 && pollfd.revents & POLLOUT) {
                (void) !write(pollfd.fd, &once, sizeof(once));
        }
}

void doorbells_drain(const Doorbells *doorbells, uint32_t vm_id) {
        const Bank *bank = vm_id < doorbells->n_banks ? doorbells->banks[vm_id] : NULL;

        for (uint32_t i = 0; bank && i < bank->n; i++) {
                uint64_t rings;
                struct iovec iov = { .iov_base = &rings, .iov_len = sizeof(rings) };

                /* One read takes all rings. RWF_NOWAIT: an empty eventfd says EAGAIN, blocking or not. */
                (void) !preadv2(bank->fds[i], &iov, 1, /* offset= */ -1, RWF_NOWAIT);
        }
}
