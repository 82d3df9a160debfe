"""pip and uv as they are, in a mounted venv: each flow ends as it does in a plain venv on ext4 (flows.py)."""
import os

import pytest

import flows


@pytest.fixture
def compare(root, places, make_wheel, real_wheels):
    """compare(start, steps): runs the flow in a plain venv, and in a mounted one from either beginning."""
    def run(start, steps, hows=("fusepkg",), rewrite=lambda found: found):
        wheels = flows.write_wheels(make_wheel)
        wheels["anchor"] = make_wheel("anchor")
        wheels["setuptools"] = real_wheels.one("setuptools")
        flow = flows.Flow(root, root.make_folder(places.get("ext4") / "flow") / "venv", wheels, start, steps)
        flow.project = flows.write_project(places.get("ext4") / "project")
        plain, said = flow.run("plain")
        for how in hows:
            mounted, said_mounted = flow.run(how)
            assert flows.differences(rewrite(plain), rewrite(mounted)) == "", f"started by {how}"
            assert said_mounted == said, f"started by {how}"

    return run


BOTH = ("alpha-1.0", "beta-1.0")


def test_upgrading_with_pip(compare):
    def steps(flow):
        flow.pip("install", "-q", "--no-deps", "--no-compile", "alpha-2.0")
        flow.pip("install", "-q", "--no-index", "gamma-1.0")
        flow.pip("show", "-f", "alpha", "beta", "gamma")
        flow.pip("check")
        flow.python("import alpha, beta, ns.alpha, ns.gamma; print(alpha.version, beta.v)")

    compare(BOTH, steps, ("pip", "fusepkg"))


def test_downgrading_and_upgrading_again_with_bytecode(compare):
    def steps(flow):
        flow.python("import alpha; print(alpha.version)")
        for wheel in ("alpha-1.0", "alpha-2.0", "alpha-1.0"):
            flow.pip("install", "-q", "--no-deps", "--compile", wheel)
            flow.python("import alpha, alpha.sub.x; print(alpha.version)")

    compare(("alpha-2.0", "beta-1.0"), steps)


def test_uninstalling_with_pip_until_nothing_is_left(compare):
    def steps(flow):
        flow.pip("uninstall", "-q", "-y", "alpha")
        flow.pip("freeze")
        flow.pip("uninstall", "-q", "-y", "beta")
        flow.pip("freeze")
        flow.pip("install", "-q", "--no-deps", "--compile", "alpha-2.0")
        flow.pip("uninstall", "-q", "-y", "alpha")

    compare(BOTH, steps)


def test_uninstalling_the_last_package(root, venv, make_wheel):
    venv.fusepkg("add", "-q", make_wheel("last", files={"last/a.py": "", "last/b/c.py": ""}))
    root.pip("--python", venv.python, "uninstall", "-q", "-y", "last")
    assert os.listdir(venv.site) == [".fusepkg"]
    root.pip("--python", venv.python, "install", "-q", "--no-deps", make_wheel("last", files={"last/a.py": "", "last/b/c.py": ""}))
    venv.run_python("import last.b.c")


def test_a_failed_upgrade_is_rolled_back(compare):
    def steps(flow):
        flow.pip("install", "-q", "--no-deps", "--no-compile", "alpha-3.0", status=1)
        flow.pip("list")
        flow.pip("show", "-f", "alpha")
        flow.python("import alpha, alpha.old; print(alpha.version)")
        flow.uv("install", "-q", "--no-deps", "alpha-3.0", status=1)

    compare(BOTH, steps)


def test_reinstalling_with_pip(compare):
    def steps(flow):
        (flow.venv.site / "alpha/old.py").write_text("changed by hand")
        (flow.venv.site / "alpha/mine.py").write_text("stays")
        flow.pip("install", "-q", "--no-deps", "--no-compile", "--force-reinstall", "alpha-1.0", "beta-1.0")

    compare(BOTH, steps)


def test_editable_installs(compare):
    def steps(flow):
        flow.pip("install", "-q", "--no-deps", "--no-build-isolation", "-e", flow.project)
        flow.python("import delta; print(delta.where)")
        flow.pip("freeze")
        flow.uv("install", "-q", "--no-deps", "--no-build-isolation", "-e", flow.project)
        flow.python("import delta; print(delta.where)")
        flow.uv("uninstall", "-q", "delta")
        flow.pip("install", "-q", "--no-deps", "--no-build-isolation", "-e", flow.project)
        flow.pip("uninstall", "-q", "-y", "delta")

    compare(("setuptools",), steps)


@pytest.mark.parametrize("mode", ["clone", "hardlink", "copy", "symlink"])
def test_uv_with_each_link_mode(compare, mode):
    def steps(flow):
        how = ("-q", "--no-deps", "--link-mode", mode)
        flow.uv("install", *how, "alpha-2.0")
        flow.uv("install", *how, "gamma-1.0")
        flow.uv("uninstall", "-q", "beta")
        flow.uv("install", *how, "--reinstall", "alpha-2.0")
        flow.python("import alpha, ns.gamma; print(alpha.version)")
        flow.uv("uninstall", "-q", "gamma")

    compare(BOTH, steps)


def test_uv_compiles_syncs_and_removes_all(compare):
    def steps(flow):
        flow.uv("install", "-q", "--no-deps", "--compile-bytecode", "--reinstall", "alpha-1.0")
        flow.python("import alpha; print(alpha.version)")
        wanted = flow.account.work / "wanted.txt"
        wanted.write_text("".join(f"{n} @ {flow.wheels[w].as_uri()}\n" for n, w in (("alpha", "alpha-2.0"), ("anchor", "anchor"))))
        flow.uv("sync", "-q", wanted)
        flow.pip("freeze")
        flow.uv("uninstall", "-q", "alpha")

    compare(BOTH, steps)


def test_an_ordinary_user(user, new_venv, make_wheel):
    """The same mount as fusermount3 makes it."""
    wheels = flows.write_wheels(make_wheel)
    venv = new_venv(user)
    venv.fusepkg("add", "-q", wheels["alpha-1.0"], wheels["beta-1.0"])
    user.pip("--python", venv.python, "install", "-q", "--no-deps", wheels["alpha-2.0"])
    user.uv("pip", "install", "-q", "--no-deps", "--python", venv.python, wheels["beta-2.0"])
    assert venv.run_python("import alpha, beta; print(alpha.version, beta.v)").out == "2.0 2.0\n"
    user.pip("--python", venv.python, "uninstall", "-q", "-y", "alpha", "beta")
    assert user.run(["find", venv.site, "-type", "f", "-not", "-name", "*.pyc"]).out.split() == [str(venv.site / ".fusepkg")]


# fusepkg's commands on what pip and uv did.

def test_fusepkg_removes_what_pip_installed(compare):
    def steps(flow):
        flow.pip("install", "-q", "--no-deps", "--compile", "alpha-2.0")
        if flow.venv.is_mounted:
            flow.venv.fusepkg("remove", "-q", "-y", "alpha", "beta")
        else:
            flow.pip("uninstall", "-q", "-y", "alpha", "beta")
        flow.pip("freeze")

    # pip takes the last file's folder along, fusepkg leaves those that are not its own.
    compare(BOTH, steps, ("pip", "fusepkg"), flows.without_empty_folders)


def test_fusepkg_upgrades_what_pip_installed(compare):
    def steps(flow):
        if flow.venv.is_mounted:
            flow.venv.fusepkg("add", "-q", flow.wheels["alpha-2.0"])
        else:
            flow.pip("install", "-q", "--no-deps", "--no-compile", "alpha-2.0")
        flow.pip("freeze")
        flow.python("import alpha, alpha.new; print(alpha.version)")

    compare(BOTH, steps, ("pip", "fusepkg"))


def test_what_pip_uninstalled_leaves_fusepkgs_list(venv, make_wheel):
    wheels = flows.write_wheels(make_wheel)
    venv.fusepkg("add", "-q", wheels["alpha-1.0"], wheels["beta-1.0"])
    venv.account.pip("--python", venv.python, "uninstall", "-q", "-y", "alpha")
    assert [p["name"] for p in venv.fusepkg("list", "--json").json()] == ["beta"]
    venv.fusepkg("add", "-q", wheels["alpha-1.0"])
    assert venv.run_python("import alpha.old, alpha; print(alpha.version)").out == "1.0\n"
    assert [p["name"] for p in venv.fusepkg("list", "--json").json()] == ["alpha", "beta"]
