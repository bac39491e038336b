/* Notifications of commands: part of the table in render_v1.c, with a file of their own. */
#ifndef PUSH_RENDER_V1_H
#define PUSH_RENDER_V1_H

#include "push/notification.h"

size_t render_v1_confirmations(const struct rendering *rendering);
void render_v1_message_confirm(const struct rendering *r, size_t part, struct json_writer *w);
size_t render_v1_answers(const struct rendering *rendering);
void render_v1_command_rsp(const struct rendering *r, size_t part, struct json_writer *w);

#endif
