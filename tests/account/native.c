/* A program whose heap is known: threads with arenas of their own, chunks of every fate, what malloc says of them.

   Prints `ready PID` and what mallinfo2 says, then obeys words on stdin: `trim`, `more`, and ends with it. No stdio: its buffers would
   change the heap after it was measured. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { THREADS = 3, CHUNKS = 4000, STACK = 700 * 1024 };

static pthread_barrier_t allocated, done;
static void *kept[THREADS + 1][CHUNKS];

static void say(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (write(1, line, length) != length)
        _exit(1);
}

static void *filled(size_t size)
{
    return memset(malloc(size), 0x5a, size);
}

/* Chunks of many sizes; every third one is given back, so that holes remain; then small ones that only caches and fast bins take. */
static void allocate(void **chunks)
{
    for (int i = 0; i < CHUNKS; i++)
        chunks[i] = filled(16 + (i * 7919) % 6000);
    for (int i = 0; i < CHUNKS; i += 3) {
        free(chunks[i]);
        chunks[i] = NULL;
    }
    void *small[40];
    for (int i = 0; i < 40; i++)
        small[i] = filled(40);
    for (int i = 0; i < 40; i++)
        free(small[i]);
}

static void *work(void *number)
{
    char name[16];
    snprintf(name, sizeof name, "worker-%d", (int)(size_t)number);
    pthread_setname_np(pthread_self(), name);
    volatile char deep[STACK];
    memset((char *)deep, 1, sizeof deep);
    allocate(kept[1 + (size_t)number]);
    pthread_barrier_wait(&allocated);
    pthread_barrier_wait(&done);
    return (void *)(size_t)deep[0];
}

static void tell(void)
{
    struct mallinfo2 now = mallinfo2();
    say("malloc %zu %zu %zu %zu %zu %zu\n", now.arena, now.uordblks, now.fordblks, now.fsmblks, now.hblkhd, now.hblks);
}

int main(void)
{
    pthread_t threads[THREADS];
    pthread_barrier_init(&allocated, NULL, THREADS + 1);
    pthread_barrier_init(&done, NULL, THREADS + 1);
    allocate(kept[0]);
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)i))
            return 1;
    pthread_barrier_wait(&allocated);

    filled(3 << 20);
    filled(5 << 20);

    /* Memory that was read and never written to: one page of zeros, which is present many times and resident not once. */
    size_t size = 2 << 20;
    volatile char *zeros = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int sum = 0;
    for (size_t i = 0; i < size; i += 4096)
        sum += zeros[i];

    /* Memory that others may have, and memory that nobody is known for. */
    int memory = memfd_create("shared-by-test", 0);
    if (memory < 0 || ftruncate(memory, 1 << 20))
        return 1;
    memset(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0), 1, 1 << 20);
    memset(mmap(NULL, 3 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, 3 << 20);

    tell();
    say("ready %d\n", (int)getpid() + sum);
    char word[16];
    while (read(0, word, sizeof word) > 0) {
        if (word[0] == 't')
            malloc_trim(0);
        else
            filled(100000);
        tell();
        say("did\n");
    }
    return 0;
}
