#include "tools/outside_list.h"

#include "store/files.h"

#include <stdio.h>

enum { OUTSIDE_LIST_MAX = 64 << 20 }; /* bytes */

void outside_paths_release(struct outside_paths *p)
{
        for (size_t i = 0; i < p->count; i++)
                free(p->paths[i]);
        free(p->paths);
        *p = (struct outside_paths){ 0 };
}

void outside_list_release(struct outside_list *l)
{
        for (size_t i = 0; i < l->claim_count; i++)
                free(l->claims[i].name);
        free(l->claims);
        free(l->slots);
        outside_paths_release(&l->links);
        outside_paths_release(&l->dirs);
        outside_paths_release(&l->bare);
        *l = (struct outside_list){ 0 };
}

bool outside_list_has_slot(const struct outside_list *l, uint32_t slot)
{
        for (size_t i = 0; i < l->slot_count; i++)
                if (l->slots[i] == slot)
                        return true;
        return false;
}

int outside_list_add_slot(struct outside_list *l, uint32_t slot)
{
        uint32_t *slots = realloc(l->slots, (l->slot_count + 1) * sizeof(*slots));

        if (!slots)
                return -ENOMEM;
        l->slots = slots;
        slots[l->slot_count++] = slot;
        return 0;
}

int outside_list_add_claim(struct outside_list *l, uint32_t slot, const char *name, uint64_t size,
                           const uint8_t sha256[SHA256_SIZE])
{
        struct outside_claim *claims = realloc(l->claims, (l->claim_count + 1) * sizeof(*claims));
        struct outside_claim c = { .slot = slot, .size = size };

        if (!claims)
                return -ENOMEM;
        l->claims = claims;
        c.name = strdup(name);
        if (!c.name)
                return -ENOMEM;
        memcpy(c.sha256, sha256, SHA256_SIZE);
        claims[l->claim_count++] = c;
        return 0;
}

bool outside_paths_have(const struct outside_paths *p, const char *path)
{
        for (size_t i = 0; i < p->count; i++)
                if (strcmp(p->paths[i], path) == 0)
                        return true;
        return false;
}

int outside_paths_add(struct outside_paths *p, const char *path)
{
        char **paths;

        if (outside_paths_have(p, path))
                return 0;
        paths = realloc(p->paths, (p->count + 1) * sizeof(*paths));
        if (!paths)
                return -ENOMEM;
        p->paths = paths;
        paths[p->count] = strdup(path);
        return paths[p->count] ? (p->count++, 0) : -ENOMEM;
}

/* --- text --- */

static int format_paths(const char *word, const struct outside_paths *p, struct buf *ret)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < p->count; i++) {
                r = buf_printf(ret, "%s ", word);
                if (r == 0)
                        r = buf_add_escaped(ret, p->paths[i], strlen(p->paths[i]));
                if (r == 0)
                        r = buf_add_char(ret, '\n');
        }
        return r;
}

static int format_claim(const struct outside_claim *c, struct buf *ret)
{
        char hex[SHA256_HEX_SIZE];
        int r;

        hex_encode(c->sha256, SHA256_SIZE, hex);
        r = buf_printf(ret, "script %s %llu ", hex, (unsigned long long)c->size);
        if (r == 0)
                r = buf_add_escaped(ret, c->name, strlen(c->name));
        return r < 0 ? r : buf_add_char(ret, '\n');
}

int outside_list_format(const struct outside_list *l, struct buf *ret)
{
        int r = buf_printf(ret, "fusepkg outside 1\ngeneration %llu\n", (unsigned long long)l->generation);

        for (size_t i = 0; r == 0 && i < l->slot_count; i++) {
                r = buf_printf(ret, "slot %u\n", l->slots[i]);
                for (size_t k = 0; r == 0 && k < l->claim_count; k++)
                        if (l->claims[k].slot == l->slots[i])
                                r = format_claim(&l->claims[k], ret);
        }
        if (r == 0)
                r = format_paths("link", &l->links, ret);
        if (r == 0)
                r = format_paths("dir", &l->dirs, ret);
        return r < 0 ? r : format_paths("bare", &l->bare, ret);
}

/* Digits only, to the end of TEXT or a space; *TEXT moves on over both. */
static int parse_number(const char **text, uint64_t max, uint64_t *ret)
{
        size_t digits = strspn(*text, "0123456789");
        unsigned long long n;

        if (digits == 0 || digits > 19 || ((*text)[digits] != ' ' && (*text)[digits] != '\0'))
                return -EBADMSG;
        n = strtoull(*text, NULL, 10);
        if (n > max)
                return -EBADMSG;
        *text += digits + ((*text)[digits] == ' ');
        *ret = n;
        return 0;
}

static int parse_word(const char *text, struct buf *ret)
{
        int r = buf_add_unescaped(ret, text, strlen(text));

        if (r == 0 && ret->len == 0)
                return -EBADMSG;
        return r == -EINVAL ? -EBADMSG : r;
}

static int parse_claim(const char *text, struct outside_list *l)
{
        cleanup_buf struct buf name = { 0 };
        uint8_t sha256[SHA256_SIZE];
        uint64_t size;
        int r;

        if (l->slot_count == 0 || strlen(text) < SHA256_HEX_SIZE || text[SHA256_HEX_SIZE - 1] != ' ' ||
            hex_decode(text, SHA256_HEX_SIZE - 1, sha256, SHA256_SIZE) < 0)
                return -EBADMSG;
        text += SHA256_HEX_SIZE;
        r = parse_number(&text, INT64_MAX, &size);
        if (r == 0)
                r = parse_word(text, &name);
        if (r == 0 && (strchr(name.data, '/') || strcmp(name.data, ".") == 0 || strcmp(name.data, "..") == 0))
                return -EBADMSG;
        return r < 0 ? r : outside_list_add_claim(l, l->slots[l->slot_count - 1], name.data, size, sha256);
}

/* Relative, and without "..". */
static bool is_inside(const char *path)
{
        if (path[0] == '/')
                return false;
        for (; path; path = strchr(path, '/')) {
                path += *path == '/';
                if (path[0] == '.' && path[1] == '.' && (path[2] == '/' || path[2] == '\0'))
                        return false;
        }
        return true;
}

static int parse_path(const char *text, struct outside_paths *p)
{
        cleanup_buf struct buf path = { 0 };
        int r = parse_word(text, &path);

        if (r == 0 && !is_inside(path.data))
                return -EBADMSG;
        return r < 0 ? r : outside_paths_add(p, path.data);
}

static int parse_line(const char *line, size_t number, struct outside_list *l)
{
        uint64_t n;
        int r;

        if (number == 0)
                return strcmp(line, "fusepkg outside 1") == 0 ? 0 : -EBADMSG;
        if (number == 1) {
                if (strncmp(line, "generation ", 11) != 0)
                        return -EBADMSG;
                line += 11;
                return parse_number(&line, UINT64_MAX, &l->generation);
        }
        if (strncmp(line, "slot ", 5) == 0) {
                line += 5;
                r = parse_number(&line, UINT32_MAX, &n);
                return r < 0 ? r : outside_list_add_slot(l, (uint32_t)n);
        }
        if (strncmp(line, "script ", 7) == 0)
                return parse_claim(line + 7, l);
        if (strncmp(line, "link ", 5) == 0)
                return parse_path(line + 5, &l->links);
        if (strncmp(line, "dir ", 4) == 0)
                return parse_path(line + 4, &l->dirs);
        if (strncmp(line, "bare ", 5) == 0)
                return parse_path(line + 5, &l->bare);
        return -EBADMSG;
}

int outside_list_parse(const char *text, size_t len, struct outside_list *ret)
{
        cleanup_outside_list struct outside_list l = { 0 };
        size_t number = 0;
        int r = 0;

        if (len == 0 || memchr(text, '\0', len) || text[len - 1] != '\n')
                return -EBADMSG;
        for (size_t at = 0; r == 0 && at < len; number++) {
                size_t n = (size_t)((const char *)memchr(text + at, '\n', len - at) - (text + at));
                cleanup_free char *line = strndup(text + at, n);

                r = line ? parse_line(line, number, &l) : -ENOMEM;
                at += n + 1;
        }
        if (r == 0 && number < 2)
                r = -EBADMSG;
        if (r < 0)
                return r;
        *ret = l;
        l = (struct outside_list){ 0 };
        return 0;
}

int outside_list_load(int state_fd, struct outside_list *ret)
{
        cleanup_buf struct buf text = { 0 };
        int r = file_read_at(state_fd, OUTSIDE_FILE, OUTSIDE_LIST_MAX, &text);

        if (r == 0)
                r = outside_list_parse(text.data ? text.data : "", text.len, ret);
        if (r != -ENOENT && r != -EBADMSG)
                return r;
        *ret = (struct outside_list){ 0 };
        return 0;
}

int outside_list_save(int state_fd, const struct outside_list *l)
{
        cleanup_buf struct buf text = { 0 };
        int r = outside_list_format(l, &text);

        return r < 0 ? r : file_replace(state_fd, OUTSIDE_FILE, text.data, text.len, 0644, true);
}
