/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every function with every combination of missing, empty, short and impossibly
 * long arguments, aligned and not, in every state a caller can be in. Memory
 * that is lent ends where a page begins that nobody may touch, so that reading
 * or writing too far is a crash, and a crash says which call it was.
 */
#include "malformed.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- memory that ends at a forbidden page ---- */

enum { PLACES = 16, PLACE = 16 * 4096 };
static CK_BYTE *place_ends[PLACES];

void tails_make(void)
{
    for (size_t i = 0; i < PLACES; i++) {
        CK_BYTE *base = mmap(NULL, PLACE + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (base == MAP_FAILED || mprotect(base + PLACE, 4096, PROT_NONE)) die_at(__FILE__, __LINE__, "no memory");
        place_ends[i] = base + PLACE;
    }
}

void *tail(size_t place, size_t len, bool odd)
{
    return place_ends[place] - len - (odd && len % 2 == 0);
}

/* ---- what is being done, for the one who must mend it ---- */

static struct {
    const char *function, *state;
    CK_ULONG args[10];
    size_t count;
} doing;
static unsigned long calls;
static CK_RV codes[128];
static size_t code_count;

static void words_of(char *out, size_t cap)
{
    size_t len = (size_t)snprintf(out, cap, "%s, %s: (", doing.function, doing.state);

    for (size_t i = 0; i < doing.count && len < cap; i++)
        len += (size_t)snprintf(out + len, cap - len, "%s0x%lx", i ? ", " : "", doing.args[i]);
    if (len < cap) snprintf(out + len, cap - len, ")");
}

static void on_signal(int number)
{
    char words[512];

    words_of(words, sizeof words);
    dprintf(1, "    %s %s\nmalformed: FAILED\n", number == SIGALRM ? "does not come back:" : "crashed in", words);
    _exit(1);
}

void doing_is(const char *function, const char *state, const CK_ULONG *args, size_t count)
{
    doing.function = function;
    doing.state = state;
    doing.count = count;
    if (count) memcpy(doing.args, args, count * sizeof *args);
}

/* Counts a call and its answer. Some answers are never right, whatever the caller does. */
CK_RV note(CK_RV rv)
{
    static const CK_RV breakdowns[] = { CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_HOST_MEMORY, CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY };
    char words[512];
    size_t i = 0;

    calls++;
    while (i < code_count && codes[i] != rv) i++;
    if (i == code_count && code_count < COUNT(codes)) codes[code_count++] = rv;
    for (i = 0; i < COUNT(breakdowns); i++) {
        if (rv != breakdowns[i]) continue;
        words_of(words, sizeof words);
        fail_at(__FILE__, __LINE__, "%s: %s", words, rv_name(rv));
    }
    return rv;
}

/* Each kind of failure once: one cause shows in thousands of combinations. */
void complain(CK_RV rv)
{
    static struct {
        const char *function, *state;
        CK_RV rv;
    } told[256];
    static size_t count;
    char words[512];

    for (size_t i = 0; i < count; i++)
        if (told[i].function == doing.function && told[i].state == doing.state && told[i].rv == rv) return;
    if (count < COUNT(told)) {
        told[count].function = doing.function;
        told[count].state = doing.state;
        told[count++].rv = rv;
    }
    words_of(words, sizeof words);
    fail_at(__FILE__, __LINE__, "%s: %s", words, rv_name(rv));
}

/* ---- the world ---- */

struct world world;

void world_keys(void)
{
    static const char *const flags[KEYS] = { [CRYPT] = "edS", [MAC] = "svS", [WRAP] = "wuS", [DERIVE] = "DS", [PLAIN] = "edX" };
    static const CK_MECHANISM_TYPE types[KEYS] = {
        [CRYPT] = CKM_AES_GCM, [MAC] = CKM_SHA256_HMAC, [WRAP] = CKM_AES_GCM, [DERIVE] = CKM_HKDF_DERIVE
    };

    for (size_t i = 0; i < PLAIN; i++) world.keys[i] = way_key(world.session, way_of(types[i]), flags[i]);
    world_plain();
}

void world_plain(void)
{
    NEED(import_try(world.session, CKK_AES, "0123456789abcdef0123456789abcdef", 32, "edX", &world.keys[PLAIN]));
}

static void close_all(void)
{
    NEED(p11->C_CloseAllSessions(world.slot));
    NEED(p11->C_CloseAllSessions(world.other_slot));
    memset(world.keys, 0, sizeof world.keys);
    world.session = world.other = 0;
}

void world_open(enum state state)
{
    if (state == BEFORE) return;
    close_all();
    if (state == NO_SESSION) return;
    world.session = open_on(world.slot, CKF_RW_SESSION);
    world.other = open_on(world.other_slot, CKF_RW_SESSION);
    if (state == OFFICER) {
        NEED(login(world.other, CKU_SO, SO_PIN));
        world.session = world.other;
        return;
    }
    if (state == OPEN) return;
    NEED(login(world.session, CKU_USER, USER_PIN));
    world_keys();
}

int main(void)
{
    static char alternative[SIGSTKSZ_LEAST];
    stack_t stack = { .ss_sp = alternative, .ss_size = sizeof alternative };
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

    p11_load();
    p32_load();
    tails_make();
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    sandbox_make();
    start();
    token_make(slot_blank(), TOKEN_LABEL);
    token_make(slot_blank(), "other");
    world.slot = slot_labelled(TOKEN_LABEL);
    world.other_slot = slot_labelled("other");
    stop();
    combinations(false);
    mechanism_parameters();
    templates();
    outputs();
    odd_places();
    combinations(true);
    sandbox_remove(sandbox_dir);
    printf("%lu calls, %zu codes\n", calls, code_count);
    printf("malformed: %s\n", failures ? "FAILED" : "nothing was taken that should not be");
    return failures != 0;
}
