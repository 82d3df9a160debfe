#include "tools/command.h"

const struct command *const command_table[] = {
        &command_add,
        &command_remove,
        &command_list,
        &command_show,
        &command_freeze,
        &command_status,
        &command_diff,
        &command_revert,
        &command_verify,
        &command_mount,
        &command_umount,
        &command_doctor,
        &command_export,
        &command_eject,
        &command_store_path,
        &command_store_du,
        &command_store_verify,
        &command_store_gc,
        &command_debug_requests,
        NULL,
};
