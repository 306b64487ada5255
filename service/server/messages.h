/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ids of what the server logs (MESSAGE_ID=); docs/catalog explains each to administrators. */
#pragma once

#define MESSAGE_STARTED "0af91b8eb0b0450bac9fd3f2992555b6"
#define MESSAGE_STOPPED "4b333fd104224f6b8ad811e6c6e86e99"
#define MESSAGE_JOINED "0a0bd87a97a24ee5a5e555b3cc530f0e"
#define MESSAGE_LEFT "1920cd2f284d485189a7deb350e642be"
#define MESSAGE_REFUSED "38bfeb2cca2648178bb28c293dc44eb3"
#define MESSAGE_RELOADED "bfb4402ab9ef4cae91e0bec833f2dbf5"
#define MESSAGE_RELOAD_REFUSED "aa7b0243bda9477daf2b3690eead6df8"
#define MESSAGE_WIPE_FAILED "09debe0ad18d4d03ae0454c5a2c67678"
#define MESSAGE_CANNOT_ACCEPT "eba298131db5400191817aaff3ae3004"
#define MESSAGE_BREACH "139e04766c714189bb37a843a0021994"
#define MESSAGE_EVICTED "dcb051702c1540a9b3425fc45bd4441b"
#define MESSAGE_RESUMED "df7a3d50927d4730b8ba7d5a9f509dbb"
#define MESSAGE_NOT_RESUMED "4662f4eca3124d148af5abcc0b2052a8"
