#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "push/assignment.h"

#include <stdio.h>

#define PARTITIONS    64
#define INSTANCES_MAX 9

static void name(struct str *instances, char text[][16], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        snprintf(text[i], 16, "instance-%zu", i);
        instances[i] = str_of(text[i]);
    }
}

static void everybody_has_an_equal_share(void **state)
{
    struct str instances[INSTANCES_MAX];
    char text[INSTANCES_MAX][16];

    (void)state;
    name(instances, text, INSTANCES_MAX);
    for (uint32_t partitions = 1; partitions <= PARTITIONS; partitions++) {
        for (uint32_t count = 1; count <= INSTANCES_MAX; count++) {
            uint32_t owners[PARTITIONS], owned[INSTANCES_MAX] = {0};

            assignment_make(instances, count, owners, partitions);
            for (uint32_t i = 0; i < partitions; i++)
                owned[owners[i]]++;
            for (uint32_t i = 0; i < count; i++)
                assert_in_range(owned[i], partitions / count, (partitions + count - 1) / count);
        }
    }
}

static void the_order_of_the_list_does_not_matter(void **state)
{
    struct str instances[INSTANCES_MAX], reversed[INSTANCES_MAX];
    char text[INSTANCES_MAX][16];
    uint32_t owners[PARTITIONS], others[PARTITIONS];

    (void)state;
    name(instances, text, INSTANCES_MAX);
    for (uint32_t i = 0; i < INSTANCES_MAX; i++)
        reversed[INSTANCES_MAX - 1 - i] = instances[i];
    assignment_make(instances, INSTANCES_MAX, owners, PARTITIONS);
    assignment_make(reversed, INSTANCES_MAX, others, PARTITIONS);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(others[i], INSTANCES_MAX - 1 - owners[i]);
}

/* At least as many must move as the new one's share. */
static void a_new_instance_moves_few_partitions(void **state)
{
    struct str instances[INSTANCES_MAX];
    char text[INSTANCES_MAX][16];

    (void)state;
    name(instances, text, INSTANCES_MAX);
    for (uint32_t count = 1; count < INSTANCES_MAX; count++) {
        uint32_t before[PARTITIONS], after[PARTITIONS], moved = 0;

        assignment_make(instances, count, before, PARTITIONS);
        assignment_make(instances, count + 1, after, PARTITIONS);
        for (uint32_t i = 0; i < PARTITIONS; i++)
            moved += before[i] != after[i];
        assert_in_range(moved, PARTITIONS / (count + 1), PARTITIONS / (count + 1) * 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_has_an_equal_share),
        cmocka_unit_test(the_order_of_the_list_does_not_matter),
        cmocka_unit_test(a_new_instance_moves_few_partitions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
