/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ivshmem PCI device of this guest, driven from user space through VFIO. Knows nothing of the line protocol. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define IVSHMEM_VECTORS_MAX 64U

typedef struct IvshmemDevice {
        int container_fd;
        int group_fd;
        int device_fd;
        uint64_t registers; /* where BAR 0 begins in device_fd */
        uint64_t config;    /* where the configuration space begins in device_fd */
        uint8_t *memory;    /* BAR 2 */
        size_t memory_size;
        unsigned int n_vectors; /* 0: ivshmem-plain */
        int vector_fds[IVSHMEM_VECTORS_MAX];
} IvshmemDevice;

/*
 * Finds the device, binds it to vfio-pci, maps its memory, enables it and routes each MSI-X vector to an eventfd.
 * Returns 0, or a negative errno with *ret_step naming what failed. It is called once; the kernel cleans up at exit.
 */
int ivshmem_device_open(IvshmemDevice *device, const char **ret_step);

/* The VM ID that the device shows in its IVPosition register. 0 or a negative errno. */
int ivshmem_device_position(const IvshmemDevice *device, uint32_t *ret_position);

/* Writes the doorbell register. The device ignores peers and vectors that it does not know. 0 or a negative errno. */
int ivshmem_device_ring(const IvshmemDevice *device, uint16_t peer, uint16_t vector);
