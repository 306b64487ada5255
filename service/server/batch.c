/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The headers of a sendmmsg() call, kept between calls. */

#include "service/server/batch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <talloc.h>

#include "service/base/error.h"
#include "service/core/wire.h"

typedef union Control {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
} Control;

_Static_assert(BATCH_MAX * sizeof(struct mmsghdr) <= BATCH_HEADERS_SIZE,
               "headers of a batch fit their place");

struct Batch {
        struct mmsghdr *headers;
        struct iovec iov[BATCH_MAX];
        uint8_t values[BATCH_MAX][WIRE_MESSAGE_SIZE];
        Control controls[BATCH_MAX];
};

static void batch_lay_out(Batch *batch, size_t i) {
        struct cmsghdr *cmsg = &batch->controls[i].header;

        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        batch->iov[i] = (struct iovec){ .iov_base = batch->values[i], .iov_len = WIRE_MESSAGE_SIZE };
        batch->headers[i].msg_hdr = (struct msghdr){ .msg_iov = &batch->iov[i], .msg_iovlen = 1 };
}

int batch_new(void *ctx, void *headers, Batch **ret) {
        Batch *batch = talloc_zero(ctx, Batch);

        if (!batch) {
                return -ENOMEM;
        }
        batch->headers = headers ?: talloc_zero_size(batch, BATCH_HEADERS_SIZE);
        if (!batch->headers) {
                talloc_free(batch);
                return -ENOMEM;
        }
        for (size_t i = 0; i < BATCH_MAX; i++) {
                batch_lay_out(batch, i);
        }
        *ret = batch;
        return 0;
}

void batch_set(Batch *batch, size_t i, int64_t value, int fd) {
        struct msghdr *header = &batch->headers[i].msg_hdr;

        batch->headers[i].msg_len = 0;
        wire_encode(value, batch->values[i]);
        if (fd < 0) {
                header->msg_control = NULL;
                header->msg_controllen = 0;
                return;
        }
        header->msg_control = batch->controls[i].bytes;
        header->msg_controllen = sizeof(batch->controls[i].bytes);
        memcpy(CMSG_DATA(&batch->controls[i].header), &fd, sizeof(fd));
}

int batch_send(Batch *batch, int socket, size_t n) {
        return errno_or(sendmmsg(socket, batch->headers, (unsigned) n, MSG_DONTWAIT | MSG_NOSIGNAL));
}

size_t batch_sent(const void *headers, size_t n) {
        const struct mmsghdr *header = headers;
        size_t sent = 0;

        while (sent < n && sent < BATCH_MAX && header[sent].msg_len == WIRE_MESSAGE_SIZE) {
                sent++;
        }
        return sent;
}
