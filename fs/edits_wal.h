/* edits_wal.h: the WAL of edits.db, written with one system call for each transaction.
 *
 * SQLite writes a frame of its WAL in two pieces, header and page: ten calls for the creation of a file.  As an SQLite
 * VFS (https://www.sqlite.org/vfs.html) over the default one, for the WAL alone: frames are collected, and written when
 * there are 32 KiB of them, or the one that commits is among them, before SQLite is told that this one was written.  So
 * a transaction that SQLite takes for committed is in the file: a SIGKILL loses no more than without.  Frames before
 * that are of no use to anybody but the connection, which is shown them as if they were in the file; so neither a sync
 * nor the end needs them there.
 *
 * Collected bytes for which SQLite was told OK stay until they are written, whatever fails: it may undo a statement
 * alone and commit what was before it, which then writes them or fails.  Errors come from writes alone, for which SQLite
 * gives up the transaction; one of a read it may take for a matter of the statement.
 *
 * They are dropped when SQLite shows that it has undone them, which no call says: its next frame begins before their end
 * (frames are only ever appended, to the last one that counts), or the log begins anew.  A header alone shows nothing:
 * SQLite writes headers again where they are (checksums, when a transaction has a page twice), without a page.  Until
 * then nobody has them written: after a rollback on a full disk reading, checkpoints and transactions that have room
 * find nothing in their way.
 * The format is that of https://www.sqlite.org/fileformat2.html#walformat. */
#ifndef FUSEPKG_EDITS_WAL_H
#define FUSEPKG_EDITS_WAL_H

/* The VFS's name for sqlite3_open_v2, registered with the first call; NULL: SQLite has no memory, or no default VFS.
 * Any thread. */
const char *edits_wal_vfs(void);

#endif
