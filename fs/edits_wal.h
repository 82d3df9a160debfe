/* edits_wal.h: the WAL of edits.db, written with one system call for each transaction.
 *
 * SQLite writes a frame of its WAL in two pieces, header and page: ten calls for the creation of a file.  As an SQLite
 * VFS (https://www.sqlite.org/vfs.html) over the default one, for the WAL alone: frames are collected, and written when
 * the one that commits is among them, before SQLite is told that this one was written.  So an error comes where it
 * would have come, and a transaction that SQLite takes for committed is in the file: a SIGKILL loses no more than
 * without.  Frames before it are of no use to anybody: what fails before the last one leaves, at most, frames that the
 * next transaction overwrites, as without.  Whatever else asks the file for something has the rest written first.
 * The format is that of https://www.sqlite.org/fileformat2.html#walformat. */
#ifndef FUSEPKG_EDITS_WAL_H
#define FUSEPKG_EDITS_WAL_H

/* The VFS's name for sqlite3_open_v2, registered with the first call; NULL: SQLite has no memory, or no default VFS.
 * Any thread. */
const char *edits_wal_vfs(void);

#endif
