#include "tools/ui.h"

#include "store/buf.h"

#include <stdio.h>
#include <time.h>

enum {
        PROGRESS_INTERVAL_NS = 100 * 1000 * 1000,
        PROGRESS_WIDTH = 30, /* characters of the bar */
};

/* Set once by ui_setup before threads start; `drawn` is only touched by ui_progress, whose callers take turns. */
static struct {
        int verbosity;
        bool color;
        bool terminal;
        bool drawn;
        uint64_t drawn_at;
} ui;

#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define CYAN "\033[36m"
#define BOLD "\033[1m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

void ui_setup(int verbosity, const char *color)
{
        const char *no_color = getenv("NO_COLOR");
        const char *term = getenv("TERM");

        ui.verbosity = verbosity;
        ui.terminal = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
        ui.color = ui.terminal && !(no_color && *no_color);
        if (color && strcmp(color, "always") == 0)
                ui.color = true;
        if (color && strcmp(color, "never") == 0)
                ui.color = false;
}

int ui_verbosity(void)
{
        return ui.verbosity;
}

static const char *paint(const char *code)
{
        return ui.color ? code : "";
}

/* What a file's name may bring along must not act upon the terminal. */
static void tame(char *s)
{
        for (; *s; s++)
                if (((unsigned char)*s < 0x20 && *s != '\n' && *s != '\t') || *s == 0x7f)
                        *s = '?';
}

static void say(const char *code, const char *label, const char *format, va_list ap)
        __attribute__((format(printf, 3, 0)));

/* One write for one line, so that lines of several processes do not mix. */
static void say(const char *code, const char *label, const char *format, va_list ap)
{
        cleanup_free char *text = NULL;

        ui_progress_end();
        if (vasprintf(&text, format, ap) < 0) {
                text = NULL;
                return;
        }
        tame(text);
        fflush(stdout);
        if (label)
                fprintf(stderr, "%s%s%s: %s\n", paint(code), label, paint(PLAIN), text);
        else
                fprintf(stderr, "%s\n", text);
}

void ui_error(const char *format, ...)
{
        va_list ap;

        if (ui.verbosity <= -2)
                return;
        va_start(ap, format);
        say(BOLD RED, "error", format, ap);
        va_end(ap);
}

void ui_warning(const char *format, ...)
{
        va_list ap;

        if (ui.verbosity <= -2)
                return;
        va_start(ap, format);
        say(BOLD YELLOW, "warning", format, ap);
        va_end(ap);
}

void ui_hint(const char *format, ...)
{
        va_list ap;

        if (ui.verbosity <= -2)
                return;
        va_start(ap, format);
        say(BOLD CYAN, "hint", format, ap);
        va_end(ap);
}

void ui_say(const char *format, ...)
{
        va_list ap;

        if (ui.verbosity < 0)
                return;
        va_start(ap, format);
        say(NULL, NULL, format, ap);
        va_end(ap);
}

void ui_detail(const char *format, ...)
{
        va_list ap;

        if (ui.verbosity < 1)
                return;
        va_start(ap, format);
        say(NULL, NULL, format, ap);
        va_end(ap);
}

void ui_change(char sign, const char *name, const char *version)
{
        const char *code = sign == '+' ? GREEN : sign == '-' ? RED : YELLOW;

        if (ui.verbosity < 0)
                return;
        ui_progress_end();
        fprintf(stderr, " %s%c%s %s%s%s%s==%s%s\n", paint(code), sign, paint(PLAIN), paint(BOLD), name, paint(PLAIN),
                paint(DIM), version, paint(PLAIN));
}

void ui_progress(const char *what, uint64_t done, uint64_t total)
{
        uint64_t now = ui_now_ns();
        char bar[PROGRESS_WIDTH + 1], have[32], all[32];
        size_t full;

        if (!ui.terminal || ui.verbosity < 0 || total == 0)
                return;
        if (ui.drawn && now - ui.drawn_at < PROGRESS_INTERVAL_NS)
                return;
        if (done > total)
                done = total;
        full = (size_t)((double)done / (double)total * PROGRESS_WIDTH);
        memset(bar, '-', PROGRESS_WIDTH);
        memset(bar, '#', full);
        bar[PROGRESS_WIDTH] = '\0';
        ui_format_bytes(done, have);
        ui_format_bytes(total, all);
        fprintf(stderr, "\r%s [%s] %s/%s\033[K", what, bar, have, all);
        fflush(stderr);
        ui.drawn = true;
        ui.drawn_at = now;
}

void ui_progress_end(void)
{
        if (!ui.drawn)
                return;
        ui.drawn = false;
        fputs("\r\033[K", stderr);
        fflush(stderr);
}

void ui_format_duration(uint64_t ns, char text[32])
{
        uint64_t ms = ns / 1000000;
        uint64_t s = ms / 1000;

        if (s >= 60)
                snprintf(text, 32, "%llum %02llus", (unsigned long long)(s / 60), (unsigned long long)(s % 60));
        else if (s > 0)
                snprintf(text, 32, "%llu.%02llus", (unsigned long long)s, (unsigned long long)(ms % 1000 / 10));
        else if (ms > 0)
                snprintf(text, 32, "%llums", (unsigned long long)ms);
        else
                snprintf(text, 32, "0.%02llums", (unsigned long long)(ns / 10000));
}

void ui_format_bytes(uint64_t bytes, char text[32])
{
        static const char *const units[] = { "kB", "MB", "GB", "TB", "PB", "EB" };
        double n = (double)bytes;
        size_t unit = 0;

        if (bytes < 1000) {
                snprintf(text, 32, "%llu B", (unsigned long long)bytes);
                return;
        }
        for (n /= 1000; n >= 999.95 && unit + 1 < ARRAY_LEN(units); unit++)
                n /= 1000;
        snprintf(text, 32, "%.1f %s", n, units[unit]);
}

uint64_t ui_now_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
