/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Descriptors that we keep, among those of the program that loaded us. It may
 * close every one it did not open, as daemons do, and its next file has one of
 * our numbers then: so each is known by what it was when it was opened, is
 * looked at before it is used, and is closed only if it is ours still.
 */
#ifndef KL_BASE_DESCRIPTOR_H
#define KL_BASE_DESCRIPTOR_H

#include <stdbool.h>
#include <sys/types.h>

struct kl_descriptor {
    int fd; /* -1: none, or lost */
    dev_t device;
    ino_t inode;
};

#define KL_NO_DESCRIPTOR ((struct kl_descriptor){ .fd = -1, .device = 0, .inode = 0 })

/*
 * The same file by a number above those of standard input, output and error, whichever of these the program has closed: what it
 * prints goes to the number and not to the file. Takes `fd`; -1, and errno, if there is none (`fd` may be -1 already). To be called
 * before anything is locked through it.
 */
int kl_descriptor_lift(int fd);
/* Takes `fd`. False, with errno, when it cannot be looked at; then it is closed. */
bool kl_descriptor_take(struct kl_descriptor *descriptor, int fd);
bool kl_descriptor_is_ours(const struct kl_descriptor *descriptor);
/* The number, or -1 and EBADF if it leads elsewhere by now. */
int kl_descriptor_fd(const struct kl_descriptor *descriptor);
/* Leaves alone what is not ours. */
void kl_descriptor_close(struct kl_descriptor *descriptor);

#endif
