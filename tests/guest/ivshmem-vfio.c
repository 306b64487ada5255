/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Drives an ivshmem device (revision 1, doorbell or plain) through VFIO with the type 1 IOMMU. The steps stand in one
 * table in the order in which the device needs them, so that a failure can name its step.
 */

#include "tests/guest/ivshmem-vfio.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PCI_DEVICES "/sys/bus/pci/devices"
#define IVSHMEM_VENDOR 0x1af4
#define IVSHMEM_DEVICE 0x1110

/* Registers in BAR 0, see QEMU's docs/specs/ivshmem-spec */
enum {
        REGISTER_POSITION = 8,
        REGISTER_DOORBELL = 12,
};

typedef struct PciAddress {
        char text[32]; /* "0000:00:02.0" */
} PciAddress;

static int file_read_hex(const char *directory, const char *name, unsigned long *ret) {
        char path[320], text[32] = "";
        int fd;
        ssize_t n;

        (void) snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", directory, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
                return -errno;
        }
        n = read(fd, text, sizeof(text) - 1);
        (void) close(fd);
        if (n < 0) {
                return -EIO;
        }
        *ret = strtoul(text, NULL, 16);
        return 0;
}

static int file_write(const char *path, const char *text) {
        int fd, r = 0;

        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0) {
                return -errno;
        }
        if (write(fd, text, strlen(text)) < 0) {
                r = -errno;
        }
        (void) close(fd);
        return r;
}

static bool pci_is_ivshmem(const char *name) {
        unsigned long vendor, device;

        return file_read_hex(name, "vendor", &vendor) == 0 && vendor == IVSHMEM_VENDOR &&
               file_read_hex(name, "device", &device) == 0 && device == IVSHMEM_DEVICE;
}

static int pci_find(PciAddress *ret_address) {
        struct dirent *entry;
        DIR *directory;
        int r = -ENODEV;

        directory = opendir(PCI_DEVICES);
        if (!directory) {
                return -errno;
        }
        while ((entry = readdir(directory))) {
                if (strlen(entry->d_name) < sizeof(ret_address->text) && pci_is_ivshmem(entry->d_name)) {
                        (void) snprintf(ret_address->text, sizeof(ret_address->text), "%.31s",
                                        entry->d_name);
                        r = 0;
                        break;
                }
        }
        (void) closedir(directory);
        return r;
}

static int step_bind(IvshmemDevice *device, const PciAddress *address) {
        char path[96];
        int r;

        (void) device;
        (void) snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver_override", address->text);
        r = file_write(path, "vfio-pci");
        if (r < 0) {
                return r;
        }
        return file_write("/sys/bus/pci/drivers_probe", address->text);
}

static int step_open_group(IvshmemDevice *device, const PciAddress *address) {
        char path[96], group[128], node[32];
        const char *number;
        ssize_t n;

        (void) snprintf(path, sizeof(path), PCI_DEVICES "/%s/iommu_group", address->text);
        n = readlink(path, group, sizeof(group) - 1);
        if (n < 0) {
                return -errno;
        }
        group[n] = '\0';
        number = strrchr(group, '/');
        if (!number) {
                return -EINVAL;
        }
        (void) snprintf(node, sizeof(node), "/dev/vfio/%.8s", number + 1);
        device->group_fd = open(node, O_RDWR | O_CLOEXEC);
        return device->group_fd < 0 ? -errno : 0;
}

static int step_open_container(IvshmemDevice *device, const PciAddress *address) {
        (void) address;
        device->container_fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
        if (device->container_fd < 0) {
                return -errno;
        }
        if (ioctl(device->group_fd, VFIO_GROUP_SET_CONTAINER, &device->container_fd) < 0) {
                return -errno;
        }
        return ioctl(device->container_fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) < 0 ? -errno : 0;
}

static int step_open_device(IvshmemDevice *device, const PciAddress *address) {
        device->device_fd = ioctl(device->group_fd, VFIO_GROUP_GET_DEVICE_FD, address->text);
        return device->device_fd < 0 ? -errno : 0;
}

static int region_get(const IvshmemDevice *device, uint32_t index, struct vfio_region_info *ret_info) {
        struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

        if (ioctl(device->device_fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0) {
                return -errno;
        }
        if (info.size == 0) {
                return -ENXIO;
        }
        *ret_info = info;
        return 0;
}

/* BAR 0 is smaller than a page, so VFIO may refuse to map it: registers are read and written through the file. */
static int step_find_registers(IvshmemDevice *device, const PciAddress *address) {
        struct vfio_region_info info;
        int r;

        (void) address;
        r = region_get(device, VFIO_PCI_BAR0_REGION_INDEX, &info);
        if (r < 0) {
                return r;
        }
        device->registers = info.offset;
        r = region_get(device, VFIO_PCI_CONFIG_REGION_INDEX, &info);
        if (r < 0) {
                return r;
        }
        device->config = info.offset;
        return 0;
}

/* VFIO opens a device with memory and bus master off; without bus master no MSI-X message arrives. */
static int step_enable(IvshmemDevice *device, const PciAddress *address) {
        const off_t offset = (off_t) (device->config + PCI_COMMAND);
        uint16_t command;

        (void) address;
        if (pread(device->device_fd, &command, sizeof(command), offset) != (ssize_t) sizeof(command)) {
                return -EIO;
        }
        command = htole16((uint16_t) (le16toh(command) | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER));
        if (pwrite(device->device_fd, &command, sizeof(command), offset) != (ssize_t) sizeof(command)) {
                return -EIO;
        }
        return 0;
}

static int step_map_memory(IvshmemDevice *device, const PciAddress *address) {
        struct vfio_region_info info;
        void *memory;
        int r;

        (void) address;
        r = region_get(device, VFIO_PCI_BAR2_REGION_INDEX, &info);
        if (r < 0) {
                return r;
        }
        memory = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, device->device_fd,
                      (off_t) info.offset);
        if (memory == MAP_FAILED) {
                return -errno;
        }
        device->memory = memory;
        device->memory_size = info.size;
        return 0;
}

static int vectors_connect(IvshmemDevice *device, unsigned int n_vectors) {
        const size_t size = sizeof(struct vfio_irq_set) + n_vectors * sizeof(int);
        struct vfio_irq_set *request;
        int r = 0;

        for (unsigned int i = 0; i < n_vectors; i++) {
                device->vector_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                if (device->vector_fds[i] < 0) {
                        return -errno;
                }
        }
        request = malloc(size);
        if (!request) {
                return -ENOMEM;
        }
        *request = (struct vfio_irq_set){
                .argsz = (uint32_t) size,
                .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                .index = VFIO_PCI_MSIX_IRQ_INDEX,
                .count = n_vectors,
        };
        memcpy(request->data, device->vector_fds, n_vectors * sizeof(int));
        if (ioctl(device->device_fd, VFIO_DEVICE_SET_IRQS, request) < 0) {
                r = -errno;
        }
        free(request);
        return r;
}

static int step_connect_vectors(IvshmemDevice *device, const PciAddress *address) {
        struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX };
        int r;

        (void) address;
        if (ioctl(device->device_fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0) {
                return -errno;
        }
        if (info.count > IVSHMEM_VECTORS_MAX) {
                return -E2BIG;
        }
        if (info.count > 0) {
                r = vectors_connect(device, info.count);
                if (r < 0) {
                        return r;
                }
        }
        device->n_vectors = info.count;
        return 0;
}

typedef struct OpenStep {
        const char *name;
        int (*run)(IvshmemDevice *device, const PciAddress *address);
} OpenStep;

static const OpenStep open_steps[] = {
        { "bind to vfio-pci", step_bind },
        { "open the IOMMU group", step_open_group },
        { "open the VFIO container", step_open_container },
        { "open the device", step_open_device },
        { "find the registers", step_find_registers },
        { "enable memory and bus master", step_enable },
        { "map the memory", step_map_memory },
        { "connect the vectors", step_connect_vectors },
};

int ivshmem_device_open(IvshmemDevice *device, const char **ret_step) {
        PciAddress address;
        int r;

        r = pci_find(&address);
        if (r < 0) {
                *ret_step = "find the ivshmem device";
                return r;
        }
        for (size_t i = 0; i < sizeof(open_steps) / sizeof(open_steps[0]); i++) {
                r = open_steps[i].run(device, &address);
                if (r < 0) {
                        *ret_step = open_steps[i].name;
                        return r;
                }
        }
        return 0;
}

int ivshmem_device_position(const IvshmemDevice *device, uint32_t *ret_position) {
        const off_t offset = (off_t) (device->registers + REGISTER_POSITION);
        uint32_t value;

        if (pread(device->device_fd, &value, sizeof(value), offset) != (ssize_t) sizeof(value)) {
                return -EIO;
        }
        *ret_position = le32toh(value);
        return 0;
}

int ivshmem_device_ring(const IvshmemDevice *device, uint16_t peer, uint16_t vector) {
        const off_t offset = (off_t) (device->registers + REGISTER_DOORBELL);
        uint32_t value;

        value = htole32((uint32_t) peer << 16 | vector);
        if (pwrite(device->device_fd, &value, sizeof(value), offset) != (ssize_t) sizeof(value)) {
                return -EIO;
        }
        return 0;
}
