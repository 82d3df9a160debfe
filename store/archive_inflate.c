#include "store/archive_internal.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

enum {
        INPUT_SIZE = 128 << 10,
        PIECE_SIZE = 256 << 10, /* what a sink gets at most */
};

/* One member being unpacked. */
struct extraction {
        const struct archive *archive;
        const struct archive_member *member;
        uint64_t offset;    /* of the next bytes of the archive to read */
        uint64_t left;      /* stored bytes that were not read yet */
        uint64_t to_come;   /* unpacked bytes that the sink did not get yet */
        uint32_t crc;
        uint8_t *input;
        uint8_t *output;
        size_t input_size;
        size_t output_size;
        int (*sink)(const void *data, size_t len, void *user);
        void *user;
        struct inflate_state *inflate;
};

static size_t smaller(uint64_t a, size_t b)
{
        return a < b ? (size_t)a : b;
}

static void extraction_release(struct extraction *x)
{
        free(x->input);
        free(x->output);
        free(x->inflate);
}

static int extraction_init(struct extraction *x)
{
        /* One byte more than there may be, to see that there is more. */
        x->output_size = smaller(x->member->size + 1, PIECE_SIZE);
        x->input_size = smaller(x->member->stored_size + 1, INPUT_SIZE);
        x->input = malloc(x->input_size);
        if (x->member->method == ARCHIVE_DEFLATED) {
                x->output = malloc(x->output_size);
                x->inflate = malloc(sizeof *x->inflate);
                if (!x->output || !x->inflate)
                        return -ENOMEM;
                isal_inflate_init(x->inflate);
                x->inflate->next_out = x->output;
                x->inflate->avail_out = (uint32_t)x->output_size;
        }
        return x->input ? 0 : -ENOMEM;
}

/* Reads the next input; 0 bytes at the end of the member's data. */
static int read_input(struct extraction *x, size_t *ret_len, struct errtext *err)
{
        size_t len = smaller(x->left, x->input_size);
        int r = archive_pread(x->archive->fd, x->input, len, x->offset, err);

        if (r < 0)
                return r;
        x->offset += len;
        x->left -= len;
        *ret_len = len;
        return 0;
}

static int deliver(struct extraction *x, const uint8_t *data, size_t len, struct errtext *err)
{
        if (len > x->to_come)
                return archive_refuse(err, x->member->name, "unpacks to more bytes than the directory says");
        if (len == 0)
                return 0;
        x->to_come -= len;
        x->crc = crc32_gzip_refl(x->crc, data, len);
        return x->sink(data, len, x->user);
}

static int copy_stored(struct extraction *x, struct errtext *err)
{
        while (x->left > 0) {
                size_t len = 0;
                int r = read_input(x, &len, err);

                if (r == 0)
                        r = deliver(x, x->input, len, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Runs the decoder once and delivers what came out when the output is full or complete: sinks get whole pieces, which
 * they can write without touching a page twice. */
static int inflate_piece(struct extraction *x, size_t *ret_len, struct errtext *err)
{
        struct inflate_state *s = x->inflate;
        const uint8_t *before = s->next_out;
        size_t len;

        if (isal_inflate(s) != ISAL_DECOMP_OK)
                return archive_refuse(err, x->member->name, "has broken compressed data");
        *ret_len = (size_t)(s->next_out - before);
        len = (size_t)(s->next_out - x->output);
        if (s->avail_out > 0 && s->block_state != ISAL_BLOCK_FINISH)
                return 0;
        s->next_out = x->output;
        s->avail_out = (uint32_t)smaller(x->to_come - smaller(x->to_come, len) + 1, x->output_size);
        return deliver(x, x->output, len, err);
}

static int inflate_all(struct extraction *x, struct errtext *err)
{
        struct inflate_state *s = x->inflate;

        while (s->block_state != ISAL_BLOCK_FINISH) {
                size_t len = 0;
                bool at_end = s->avail_in == 0 && x->left == 0;
                int r = 0;

                if (s->avail_in == 0 && x->left > 0) {
                        r = read_input(x, &len, err);
                        s->next_in = x->input;
                        s->avail_in = (uint32_t)len;
                }
                if (r == 0)
                        r = inflate_piece(x, &len, err);
                if (r < 0)
                        return r;
                if (at_end && len == 0 && s->block_state != ISAL_BLOCK_FINISH)
                        return archive_refuse(err, x->member->name, "has compressed data that are cut short");
        }
        /* The decoder takes bytes ahead into read_in: whole ones that are left there were not part of the stream. */
        if (s->avail_in > 0 || x->left > 0 || s->read_in_length >= 8)
                return archive_refuse(err, x->member->name, "has bytes after its compressed data");
        return 0;
}

static int extract(struct extraction *x, struct errtext *err)
{
        int r = extraction_init(x);

        if (r < 0)
                return errtext_set(err, r, "out of memory");
        r = x->inflate ? inflate_all(x, err) : copy_stored(x, err);
        if (r < 0)
                return r;
        if (x->to_come > 0)
                return archive_refuse(err, x->member->name, "unpacks to fewer bytes than the directory says");
        if (x->crc != x->member->crc)
                return archive_refuse(err, x->member->name, "does not match its checksum");
        return 0;
}

int archive_extract(const struct archive *a, size_t member, int (*sink)(const void *data, size_t len, void *user),
                    void *user, struct errtext *err)
{
        const struct archive_member *m = &a->members[member];
        struct extraction x = {
                .archive = a,
                .member = m,
                .offset = m->data_offset,
                .left = m->stored_size,
                .to_come = m->size,
                .sink = sink,
                .user = user,
        };
        int r = 0;

        if (m->is_dir)
                return archive_refuse(err, m->name, "is a folder");
        if (m->data_offset == 0) { /* a local header lies before all data, so that 0 means unknown */
                cleanup_buf struct buf scratch = { 0 };

                r = archive_local_check(a, member, &scratch, &x.offset, err);
        }
        if (r == 0)
                r = extract(&x, err);
        extraction_release(&x);
        return r;
}

static int append(const void *data, size_t len, void *user)
{
        return buf_add(user, data, len);
}

int archive_read(const struct archive *a, size_t member, size_t max, struct buf *ret, struct errtext *err)
{
        const struct archive_member *m = &a->members[member];
        size_t before = ret->len;

        if (m->size > max)
                return archive_refuse(err, m->name, "is larger than %zu bytes", max) < 0 ? -EFBIG : 0;

        int r = archive_extract(a, member, append, ret, err);

        if (r == -ENOMEM)
                return errtext_set(err, r, "out of memory");
        if (r < 0 && ret->data)
                ret->data[ret->len = before] = '\0';
        return r;
}
