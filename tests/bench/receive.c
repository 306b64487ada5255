/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The receiving end that peers and the floor have in common. */

#include "tests/bench/receive.h"

#include <sys/socket.h>
#include <time.h>

#include "service/base/error.h"
#include "service/core/wire.h"

int receive_messages(int socket, Received ret[static RECEIVE_MAX]) {
        uint8_t bytes[RECEIVE_MAX][WIRE_MESSAGE_SIZE];
        struct mmsghdr headers[RECEIVE_MAX];
        struct iovec iov[RECEIVE_MAX];
        int n;

        for (size_t i = 0; i < RECEIVE_MAX; i++) {
                iov[i] = (struct iovec){ .iov_base = bytes[i], .iov_len = sizeof(bytes[i]) };
                headers[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
        }
        n = recvmmsg(socket, headers, RECEIVE_MAX, MSG_DONTWAIT, /* timeout= */ NULL);
        if (n < 0) {
                return errno_negative();
        }
        for (int i = 0; i < n; i++) {
                /* The end of the connection is a message of no bytes. */
                if (headers[i].msg_len != WIRE_MESSAGE_SIZE) {
                        return i;
                }
                ret[i] = (Received){
                        .value = wire_decode(bytes[i]),
                        .has_descriptor = headers[i].msg_hdr.msg_flags & MSG_CTRUNC,
                };
        }
        return n;
}

uint64_t now_nsec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}
