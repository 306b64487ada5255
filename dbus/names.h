/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names on the bus. What they mean is in the XML files beside this one, which are the contract. */
#pragma once

#define BUS_NAME "org.ivshmem1"
#define BUS_PATH "/org/ivshmem1"
#define BUS_DOMAIN_PATH "/org/ivshmem1/domain"
#define BUS_MANAGER_INTERFACE "org.ivshmem1.Manager"
#define BUS_DOMAIN_INTERFACE "org.ivshmem1.Domain"

/* Where root manages without a bus daemon, and where an embedded manager listens below its directory. */
#define BUS_PRIVATE_SOCKET "/run/ivshmem/bus"
#define BUS_EMBEDDED_SOCKET "bus"

/* Errors; each is a row of the table in dbus/errors.c. */
#define BUS_ERROR(name) "org.ivshmem1.Error." name
#define BUS_ERROR_NO_SUCH_DOMAIN BUS_ERROR("NoSuchDomain")
#define BUS_ERROR_DOMAIN_EXISTS BUS_ERROR("DomainExists")
#define BUS_ERROR_DOMAIN_RUNNING BUS_ERROR("DomainRunning")
#define BUS_ERROR_NOT_RUNNING BUS_ERROR("NotRunning")
#define BUS_ERROR_INVALID_NAME BUS_ERROR("InvalidName")
#define BUS_ERROR_INVALID_SETTING BUS_ERROR("InvalidSetting")
#define BUS_ERROR_FIXED_SETTING BUS_ERROR("FixedSetting")
#define BUS_ERROR_NOT_OURS BUS_ERROR("NotOurs") /* a file of the administrator or of a package */
#define BUS_ERROR_LIMIT_EXCEEDED BUS_ERROR("LimitExceeded")
#define BUS_ERROR_START_FAILED BUS_ERROR("StartFailed")
#define BUS_ERROR_STOP_FAILED BUS_ERROR("StopFailed")
#define BUS_ERROR_NO_SUCH_PEER BUS_ERROR("NoSuchPeer")
#define BUS_ERROR_NO_SUCH_VECTOR BUS_ERROR("NoSuchVector")
#define BUS_ERROR_BUSY BUS_ERROR("Busy") /* too many queries pending, or a job of the domain runs */
#define BUS_ERROR_SERVER_LOST BUS_ERROR("ServerLost") /* the domain's server went away before it answered */
