"""doctor: what this machine offers, and what to do about what is missing."""
import pytest

CHECKS = ["kernel", "libfuse", "/dev/fuse", "fusermount3", "user_allow_other", "apparmor", "user namespaces",
          "passthrough", "store", "venv"]


def by_check(result):
    found = result.json()
    assert all(set(f) >= {"check", "ok", "found", "hint"} for f in found)
    assert all(f["ok"] is True or (f["ok"] is False and f["hint"]) for f in found)
    return {f["check"]: f for f in found}


def test_all_is_well_here(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"))
    found = by_check(venv.fusepkg("doctor", "--json"))
    assert list(found) == CHECKS
    assert all(f["ok"] for f in found.values())
    assert "mounted" in found["venv"]["found"] and str(venv) in found["venv"]["found"]
    assert str(account.store) in found["store"]["found"]
    assert "fusepkg-mount" in found["libfuse"]["found"] or "libfuse" in found["libfuse"]["found"]


def test_without_a_venv_or_a_store_all_is_well_too(account):
    found = by_check(account.fusepkg("doctor", "--json"))
    assert found["venv"]["ok"] and "--venv" in found["venv"]["hint"]
    assert not account.store.exists()


def test_a_named_venv_that_is_not_there_is_a_failure(account):
    found = by_check(account.fusepkg("doctor", "--json", "--venv", "/no/such/venv", status=1))
    assert not found["venv"]["ok"]


def test_for_people_it_is_text(account):
    result = account.fusepkg("doctor")
    assert all(check in result.out for check in CHECKS)


def in_namespace(root, script, argv, account=None, status=None):
    account = account or root
    argv = account.argv([account.installed / "bin/fusepkg", *argv])
    return root.run(["unshare", "-m", "sh", "-c", f'{script} && exec "$@"', "sh", *argv], env=account.environment(),
                    status=status)


NO_DEVICE = ("mount -t tmpfs none /mnt && mknod -m 666 /mnt/null c 1 3 && mknod -m 666 /mnt/urandom c 1 9 && "
             "mount --move /mnt /dev")


def test_a_missing_device(root):
    found = by_check(in_namespace(root, NO_DEVICE, ["doctor", "--json"], status=1))
    assert not found["/dev/fuse"]["ok"] and "modprobe fuse" in found["/dev/fuse"]["hint"]


def test_a_device_without_rights(root, user):
    script = NO_DEVICE.replace("&& mount --move", "&& mknod -m 600 /mnt/fuse c 10 229 && mount --move")
    found = by_check(in_namespace(root, script, ["doctor", "--json"], user, status=1))
    assert not found["/dev/fuse"]["ok"] and "0600" in found["/dev/fuse"]["found"]
    assert by_check(in_namespace(root, script, ["doctor", "--json"], status=0))["/dev/fuse"]["ok"]


def test_a_missing_fusermount3_matters_to_users_alone(root, user):
    script = 'mount --bind /dev/null "$(command -v fusermount3)"'
    found = by_check(in_namespace(root, script, ["doctor", "--json"], user, status=1))
    assert not found["fusermount3"]["ok"] and "apt install fuse3" in found["fusermount3"]["hint"]
    assert by_check(in_namespace(root, script, ["doctor", "--json"], status=0))["fusermount3"]["ok"]


def test_a_missing_mtab_matters_to_users_alone(root, user):
    # As in a folder that debootstrap made; a machine that boots has it.
    script = "mount -t tmpfs none /mnt && cp -a /etc /mnt/ && rm -f /mnt/etc/mtab && mount --bind /mnt/etc /etc"
    found = by_check(in_namespace(root, script, ["doctor", "--json"], user, status=1))
    assert not found["fusermount3"]["ok"] and "ln -s ../proc/self/mounts /etc/mtab" in found["fusermount3"]["hint"]
    assert by_check(in_namespace(root, script, ["doctor", "--json"], status=0))["fusermount3"]["ok"]


def test_a_store_that_cannot_be_written(user, root, folder):
    locked = root.make_folder(folder / "locked", 0o755)
    found = by_check(user.fusepkg("doctor", "--json", env={"FUSEPKG_STORE": locked / "store"}, status=1))
    assert not found["store"]["ok"] and "FUSEPKG_STORE" in found["store"]["hint"]


def test_a_dead_mount_is_told_and_left_alone(account, new_venv, make_wheel):
    import os
    from support.mount_kill import kill_both

    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"))
    kill_both(venv)
    found = by_check(venv.fusepkg("doctor", "--json"))
    assert "dead" in found["venv"]["found"] and "fusepkg mount" in found["venv"]["hint"]
    assert venv.is_mounted
    venv.fusepkg("umount")


@pytest.mark.parametrize("args", [["doctor", "--jsn"], ["doctor", "extra"]])
def test_wrong_usage(account, args):
    account.fusepkg(*args, status=2)
