/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bounds of the protocol (ivshmem-protocol(7)). */
#pragma once

#define VM_ID_MAX 65535U
#define VECTOR_MAX 63U
