/*
 * The Lua scripts that are compiled in. scripts/embed-lua makes two files of store/lua/NAME.lua at
 * build time: scripts_gen.c with the bodies, and scripts_gen.h which declares
 *
 *     extern struct script script_NAME;
 *
 * for each. Include store/scripts_gen.h to run a script by its name; this header is for what
 * concerns all of them.
 */
#ifndef STORE_SCRIPTS_H
#define STORE_SCRIPTS_H

#include "store/redis.h"

extern struct script *const all_scripts[]; /* ends with NULL */

#endif
