/* edits_report.h: what commands ask of the edits, and the answer: files in `.fusepkg`, so that neither the mount nor
 * the command trusts anything but the folder that belongs to the venv's owner.
 *
 * A command that holds the venv's lock writes `.fusepkg/edits.request`, and then either sends the ioctl CONTROL_EDITS
 * (control.h) to a live mount, or runs `fusepkg-mount --edits --site … --state …`, which does the same without
 * mounting.  On a full disk, or in a venv that cannot be written, both files are elsewhere: edits_exchange.h.  Either
 * carries the edits over to the environment's generation first, does what the request says, replaces
 * `.fusepkg/edits.report`, and only then answers.  Lines, words percent-encoded (buf.h):
 *
 *     fusepkg edits-request 1
 *     report                            what differs from the environment
 *     check                             adds `bad` lines: tree_check
 *     originals                         adds `original` lines: edits_originals.h
 *     conflicts                         adds `conflicting` lines: view_conflicts.  The one line that costs what is installed, not what was edited
 *     remove <path>                     a file, or a directory if it is empty, as unlink(2) and rmdir(2) do; what is not there is no error, nor what nobody may remove
 *     revert <path>                     that path, and all below, is the environment's again; what was changed goes to kept/<generation>
 *     base                              adds `base` lines
 *     blocked                           nothing is reverted: adds `blocked` lines, of what keeps the `revert` lines from being done
 *     end
 *
 *     fusepkg edits-report 1
 *     generation <n>
 *     modified <id, hex> <mode, octal> <size> <data: 0 or 1> <path>      bytes (data 1) or attributes (0) of a file of the environment
 *     removed <id> <type: f d l> <path>                                  of the environment, no longer there (a folder: and all in it)
 *     moved <id> <type> <path now> <path in the environment> <newest>    of the environment, with all in it that slots up to NEWEST have
 *     linked <id> <path> <path in the environment>                       a further name
 *     added <id> <type: f d l p s c b> <mode> <size> <path>              made here; folders before what is in them; `data` file name is the id in %016x
 *     added <id> l <mode> <size> <path> <target>
 *     kept <generation> <path>                                           what this request put to kept
 *     bad <sentence>
 *     conflicting <path> <loser> <winner>                                packages, or `site-packages`, whose bytes at a path differ; the winner's are shown
 *     original <id> <mode, octal, with the type> <path>                  of the bare site-packages, copied to edits.originals/<id, %016x>
 *     reverted <path>
 *     base <path>                                                        a directory that the bare site-packages has, and that is not to be seen there: it, or one above it, was moved or removed
 *     blocked <slot>                                                     a package that comes back only when it is installed anew: edits_revert.h
 *     error <sentence>                                                   alone: why nothing else was done
 *     end
 *
 * The cost is in proportion to the rows, not to the environment. */
#ifndef FUSEPKG_EDITS_REPORT_H
#define FUSEPKG_EDITS_REPORT_H

#include "fs/kept.h"
#include "fs/tree.h"

#define EDITS_REQUEST_FILE "edits.request"
#define EDITS_REPORT_FILE "edits.report"
#define EDITS_ORIGINALS_DIR "edits.originals"
#define EDITS_REQUEST_HEAD "fusepkg edits-request 1"
#define EDITS_REPORT_HEAD "fusepkg edits-report 1"

/* Reads the request, does it, writes the report.  CHANGES: what the kernel is to be told.  STATE_FD: .fusepkg. */
int edits_serve_request(struct tree *t, int state_fd, struct tree_changes *ret, struct errtext *err);

#endif
