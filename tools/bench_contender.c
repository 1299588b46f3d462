/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Contenders of `keyladder bench`: a process each, so that one that crashes or hangs is told of and not suffered. */
#include "bench_contender.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "bench_p11.h"
#include "interrupt.h"

enum { CHANNEL = 3, PIN_MOST = 256, STAGE_CAP = 64 };

/* What goes to and fro, one packet each: both ends are the same program. */
struct pins {
    uint32_t pin_len, so_len;
    uint8_t pin[PIN_MOST], so[PIN_MOST];
};
struct question {
    size_t work;
    struct kl_bench_span span;
};
struct answer {
    unsigned long rv;
    double ns;
    bool is_ready; /* of the first answer alone */
    char words[KL_BENCH_WORDS];
};

/* Shared with the parent: the call that is under way. */
static char *stage;

void kl_bench_stage(const char *call)
{
    if (stage != NULL) snprintf(stage, STAGE_CAP, "%s", call);
}

/* --- the contender's process --- */

static bool take_pins(struct kl_secret *pin, struct kl_secret *so_pin)
{
    KL_AUTO(kl_secret) room = { 0 };
    struct pins *pins;

    if (kl_secret_new(&room, sizeof *pins) != KL_OK) return false;
    pins = (struct pins *)(void *)room.data;
    if (recv(CHANNEL, pins, sizeof *pins, 0) != (ssize_t)sizeof *pins || pins->pin_len > PIN_MOST || pins->so_len > PIN_MOST) return false;
    return kl_secret_from(pin, kl_view_of(pins->pin, pins->pin_len)) == KL_OK &&
           kl_secret_from(so_pin, kl_view_of(pins->so, pins->so_len)) == KL_OK;
}

static bool say(const struct answer *answer)
{
    return send(CHANNEL, answer, sizeof *answer, 0) == (ssize_t)sizeof *answer;
}

static bool open_side(const struct kl_bench_contender *contender, char words[KL_BENCH_WORDS])
{
    KL_AUTO(kl_secret) pin = { 0 };
    KL_AUTO(kl_secret) so_pin = { 0 };

    if (!take_pins(&pin, &so_pin)) {
        snprintf(words, KL_BENCH_WORDS, "its PIN could not be handed over");
        return false;
    }
    return contender->path == NULL || kl_bench_p11_open(contender, &pin, &so_pin, words);
}

/* Answers until the parent has no more questions. */
static void serve(const struct kl_bench_contender *contender)
{
    const struct kl_bench_side *side = contender->path == NULL ? &kl_bench_evp : &kl_bench_p11;
    struct answer answer = { .rv = 0 };
    struct question question;

    answer.is_ready = open_side(contender, answer.words);
    if (!say(&answer) || !answer.is_ready) return;
    while (recv(CHANNEL, &question, sizeof question, 0) == (ssize_t)sizeof question) {
        answer = (struct answer){ .rv = 0 };
        if (question.work >= kl_bench_case_count()) return;
        answer.rv = kl_bench_time(side, &kl_bench_cases[question.work], &question.span, &answer.ns);
        if (!say(&answer)) return;
    }
}

/* The child of `parent`: nothing of its terminal's signals, its files, its secrets and its output is for a module. */
static void live(const struct kl_bench_contender *contender, pid_t parent, int channel)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    /* A signal to the whole group is the parent's to answer; it ends its contenders, and they end with it. */
    sigaction(SIGINT, &ignore, NULL);
    sigaction(SIGHUP, &ignore, NULL);
    sigaction(SIGTERM, &ignore, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(1);
    kl_arena_abandon();
    kl_log_close();
    if (dup2(channel, CHANNEL) != CHANNEL || close_range(CHANNEL + 1, ~0U, 0) != 0) _exit(1);
    /* A module that prints must not print into the table. */
    if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0) _exit(1);
    if (contender->conf != NULL && setenv("KEYLADDER_CONF", contender->conf, 1) != 0) _exit(1);
    serve(contender);
    _exit(0);
}

/* --- the parent's side --- */

bool kl_bench_runs(const struct kl_bench_contender *contender)
{
    return contender->failure[0] == '\0';
}

void kl_bench_stop(struct kl_bench_contender *contender)
{
    if (contender->pid <= 0) return;
    kill(contender->pid, SIGKILL);
    while (waitpid(contender->pid, NULL, 0) < 0 && errno == EINTR) continue;
    close(contender->channel);
    munmap(contender->stage, STAGE_CAP);
    contender->pid = 0;
}

/* Where it was when last heard of: " in C_Login", or nothing. */
static const char *where(const struct kl_bench_contender *contender, const char *work, char out[STAGE_CAP + 8])
{
    char call[STAGE_CAP];

    memcpy(call, contender->stage, sizeof call);
    call[sizeof call - 1] = '\0';
    snprintf(out, STAGE_CAP + 8, "%s%s", call[0] == '\0' && work[0] == '\0' ? "" : " in ", call[0] == '\0' ? work : call);
    return out;
}

/* It has closed its channel: how did it end? */
static void bury(struct kl_bench_contender *contender, const char *work)
{
    char place[STAGE_CAP + 8];
    int status = 0;

    while (waitpid(contender->pid, &status, 0) < 0 && errno == EINTR) continue;
    where(contender, work, place);
    if (WIFSIGNALED(status)) {
        snprintf(contender->failure, sizeof contender->failure, "its process was ended by signal %d (%s)%s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)), place);
    } else {
        snprintf(contender->failure, sizeof contender->failure, "its process ended by itself with status %d%s", WEXITSTATUS(status), place);
    }
    close(contender->channel);
    munmap(contender->stage, STAGE_CAP);
    contender->pid = 0;
}

static enum kl_rc hear(struct kl_bench_contender *contender, const char *work, int64_t deadline, struct answer *answer)
{
    bool ready;
    ssize_t got;

    KL_TRY(kl_interrupt_wait_for(contender->channel, deadline, &ready));
    if (!ready) {
        char place[STAGE_CAP + 8];

        snprintf(contender->failure, sizeof contender->failure, "no answer within %d s%s", (int)(deadline / 1000000000),
                 where(contender, work, place));
        kl_bench_stop(contender);
        return KL_OK;
    }
    got = recv(contender->channel, answer, sizeof *answer, 0);
    if (got == (ssize_t)sizeof *answer) {
        answer->words[sizeof answer->words - 1] = '\0';
        return KL_OK;
    }
    bury(contender, work);
    return KL_OK;
}

static enum kl_rc hand_pins(const struct kl_bench_contender *contender, const struct kl_secret *pin, const struct kl_secret *so_pin)
{
    KL_AUTO(kl_secret) room = { 0 };
    struct pins *pins;

    if (pin->len > PIN_MOST || so_pin->len > PIN_MOST)
        return kl_fail(KL_PIN_LENGTH, "%s: the PIN is longer than %d bytes", contender->name, PIN_MOST);
    KL_TRY(kl_secret_new(&room, sizeof *pins));
    pins = (struct pins *)(void *)room.data;
    pins->pin_len = (uint32_t)pin->len;
    pins->so_len = (uint32_t)so_pin->len;
    if (pin->len > 0) memcpy(pins->pin, pin->data, pin->len);
    if (so_pin->len > 0) memcpy(pins->so, so_pin->data, so_pin->len);
    /* What has died already shows when it is to answer. */
    if (send(contender->channel, pins, sizeof *pins, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        return kl_fail(KL_IO, "%s: its PIN cannot be handed over: %m", contender->name);
    return KL_OK;
}

static enum kl_rc give_birth(struct kl_bench_contender *contender)
{
    int pair[2];
    pid_t parent = getpid();

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return kl_fail(KL_IO, "no channel to a process: %m");
    contender->stage = mmap(NULL, STAGE_CAP, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (contender->stage == MAP_FAILED) {
        close(pair[0]);
        close(pair[1]);
        return kl_fail(KL_MEMORY, "out of memory");
    }
    fflush(NULL);
    contender->pid = fork();
    if (contender->pid == 0) {
        stage = contender->stage;
        live(contender, parent, pair[1]);
    }
    close(pair[1]);
    contender->channel = pair[0];
    if (contender->pid > 0) return KL_OK;
    close(pair[0]);
    munmap(contender->stage, STAGE_CAP);
    return kl_fail(KL_IO, "no process for %s: %m", contender->name);
}

enum kl_rc kl_bench_start(struct kl_bench_contender *contender, const struct kl_secret *pin, const struct kl_secret *so_pin,
                          int64_t deadline)
{
    struct answer answer = { .is_ready = true };

    KL_TRY(give_birth(contender));
    KL_TRY(hand_pins(contender, pin, so_pin));
    KL_TRY(hear(contender, "", deadline, &answer));
    if (!kl_bench_runs(contender) || answer.is_ready) return KL_OK;
    kl_log_escape(kl_view_text(answer.words), contender->failure, sizeof contender->failure);
    kl_bench_stop(contender);
    return KL_OK;
}

enum kl_rc kl_bench_ask(struct kl_bench_contender *contender, size_t work, const struct kl_bench_span *span, int64_t deadline,
                        unsigned long *rv, double *ns)
{
    struct question question = { .work = work, .span = *span };
    struct answer answer = { .rv = KL_BENCH_FAILED };

    /* What has died already shows when it is to answer. */
    if (send(contender->channel, &question, sizeof question, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        return kl_fail(KL_IO, "%s cannot be asked: %m", contender->name);
    KL_TRY(hear(contender, kl_bench_cases[work].title, deadline, &answer));
    *rv = answer.rv;
    *ns = answer.ns;
    return KL_OK;
}
