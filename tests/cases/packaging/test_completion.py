"""What bash, zsh and fish complete, by themselves."""
from pathlib import Path

import pytest
import said

# A line as typed, and as it is once the shell has completed it, but for what it adds at the end.
LINES = [
    ("fusepkg umo", "fusepkg umount"),
    ("fusepkg store ver", "fusepkg store verify"),
    ("fusepkg -q --color always stat", "fusepkg -q --color always status"),
    ("fusepkg --color alw", "fusepkg --color always"),
    ("fusepkg help free", "fusepkg help freeze"),
    ("fusepkg add --no-m", "fusepkg add --no-mount"),
    ("fusepkg uninstall --requ", "fusepkg uninstall --requirements"),
    ("fusepkg store verify --js", "fusepkg store verify --json"),
    ("fusepkg list --format fr", "fusepkg list --format freeze"),
    ("fusepkg add wheels/de", "fusepkg add wheels/demo.whl"),
    ("fusepkg add --venv wh", "fusepkg add --venv wheels/"),
    ("fusepkg add --venv wheels wheels/d", "fusepkg add --venv wheels wheels/demo.whl"),
    ("fusepkg list whe", "fusepkg list whe"),  # which takes no argument
]
# A file is no folder; but zsh's own convention is to show files where no folder begins like that.
LINES_BUT_ZSH = LINES + [("fusepkg export --to wheels/d", "fusepkg export --to wheels/d")]

BASH = r"""
bind 'set bell-style none'
source {file}
bind -x '"\C-x\C-p": printf "<<%s>>" "$READLINE_LINE"'
"""
ZSH = r"""
fpath=({folder} $fpath)
autoload -Uz compinit
compinit -u -D
result() {{ print -rn -- "<<$BUFFER>>" }}
zle -N result
bindkey '^I' complete-word
bindkey '^X^P' result
"""


@pytest.fixture
def type_line(root, folder):
    """type_line(shell, setup, line): the completed line, in a folder with wheels/demo.whl."""
    (folder / "wheels").mkdir()
    (folder / "wheels/demo.whl").touch()

    def run(*args):
        script = Path(__file__).with_name("type_line.py")
        return root.run(["/usr/bin/python3", script, *args], env={"TERM": "dumb"}, cwd=folder).out.strip()

    return run


def fish(account, installed, line, folder):
    file = installed / "share/fish/vendor_completions.d/fusepkg.fish"
    out = account.run(["fish", "--no-config", "-c", f"source {file}; complete -C '{line}'"], cwd=folder).out
    return [row.split("\t")[0] for row in out.splitlines()]


@pytest.mark.parametrize("line, completed", LINES_BUT_ZSH)
def test_bash(type_line, installed, line, completed):
    setup = BASH.format(file=installed / "share/bash-completion/completions/fusepkg")
    assert type_line("bash", setup, line) == completed


@pytest.mark.parametrize("line, completed", LINES)
def test_zsh(type_line, installed, line, completed):
    setup = ZSH.format(folder=installed / "share/zsh/site-functions")
    assert type_line("zsh", setup, line).rstrip("=") == completed  # of an option that takes a value


@pytest.mark.parametrize("line, completed", LINES_BUT_ZSH)
def test_fish(root, type_line, installed, folder, line, completed):
    assert fish(root, installed, line, folder) == ([] if line == completed else [completed.split()[-1]])


def test_every_option_is_completed(root, installed, folder):
    bash = installed / "share/bash-completion/completions/fusepkg"
    for name in said.commands(installed):
        expected = said.options(installed, name)
        driver = f"""
            source {bash}
            COMP_WORDS=(fusepkg {name} --) COMP_CWORD={len(name.split()) + 1}
            _fusepkg
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        assert set(root.run(["bash", "-c", driver]).out.split()) == expected, name
        assert set(fish(root, installed, f"fusepkg {name} --", folder)) == expected, name
