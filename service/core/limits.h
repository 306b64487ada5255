/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The numbers that the protocol and QEMU put on a domain. */
#pragma once

/* VM IDs are 16 bits wide on the wire and in the device's doorbell register (QEMU, docs/specs/ivshmem-spec). */
#define VM_IDS_MAX 65536U

/* The reference server's limit, and where the Windows driver stops. PCI would allow 2048. */
#define VECTORS_MAX 64U

/* What fits a user name after "ivs-", so that each domain can have a user of its own. */
#define DOMAIN_NAME_MAX 27U
