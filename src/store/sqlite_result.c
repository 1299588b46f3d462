/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What SQLite answers, as results of ours, with words. */
#include "store/sqlite.h"
#include "store/vfs.h"

enum kl_rc kl_sqlite_rc(struct kl_sqlite *sqlite, int code, const char *doing)
{
    static const struct {
        int code;
        enum kl_rc rc;
        const char *words;
    } known[] = {
        { SQLITE_BUSY, KL_STORE_BUSY, "another process holds it" },
        { SQLITE_LOCKED, KL_STORE_BUSY, "it is locked" },
        { SQLITE_PROTOCOL, KL_STORE_BUSY, "the locks of its log are contended" },
        { SQLITE_FULL, KL_STORE_FULL, "no room left on its file system" },
        { SQLITE_READONLY, KL_STORE_READ_ONLY, "it cannot be written" },
        { SQLITE_CORRUPT, KL_INTEGRITY, "the file is damaged" },
        { SQLITE_NOTADB, KL_INTEGRITY, "the file is not a database" },
        { SQLITE_NOMEM, KL_MEMORY, "no memory" },
        { SQLITE_TOOBIG, KL_INTEGRITY, "a row is longer than any that was ever written" },
        { SQLITE_CONSTRAINT, KL_CONFLICT, "it is there already" },
        { SQLITE_INTERRUPT, KL_STORE_BUSY, "interrupted" },
    };

    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return KL_OK;
    if (code == SQLITE_IOERR_NOMEM) code = SQLITE_NOMEM;
    if ((code & 0xff) == SQLITE_CANTOPEN) {
        enum kl_rc refused = kl_vfs_refusal();

        if (refused != KL_OK) return refused;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].code == (code & 0xff)) return kl_fail(known[i].rc, "%s: could not %s: %s", sqlite->path, doing, known[i].words);
    }
    if (!kl_vfs_is_whole(sqlite->db))
        return kl_fail(KL_STORE, "%s: could not %s: the program has closed descriptors that are ours", sqlite->path, doing);
    return kl_fail(KL_STORE, "%s: could not %s: %s (SQLite %d, errno %d)", sqlite->path, doing, sqlite3_errmsg(sqlite->db), code,
                   sqlite3_system_errno(sqlite->db));
}

enum kl_rc kl_sqlite_run(struct kl_sqlite *sqlite, const char *text, const char *doing)
{
    return kl_sqlite_rc(sqlite, sqlite3_exec(sqlite->db, text, NULL, NULL, NULL), doing);
}

enum kl_rc kl_sqlite_number(struct kl_sqlite *sqlite, const char *text, int64_t *number)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(sqlite->db, text, -1, &statement, NULL);
    enum kl_rc rc;

    if (code == SQLITE_OK) code = sqlite3_step(statement);
    rc = kl_sqlite_rc(sqlite, code, "look inside");
    if (rc == KL_OK) *number = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return rc;
}
