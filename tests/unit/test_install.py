"""install and uninstall, on a tree that stands for a system."""

import os
import stat
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.cli.installer import Installer, InstallError, Target, check_visible, exec_word, target
from agent.share import example_config
from agent.texts import Text

STANDARD = ("etc/systemd/system/multi-user.target.wants", "etc/sysusers.d", "etc/tmpfiles.d", "etc/udev/rules.d",
            "usr/local/bin", "usr/lib/systemd", "var/lib")  # fmt: skip
"""What every Debian has before."""


class Image:
    """A tree of its own, and what the installer said about it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: list[Text] = []
        for folder in STANDARD:
            (root / folder).mkdir(parents=True)
        (root / "usr/lib/systemd/systemd-timesyncd").touch()

    def installer(self, *, prefix: str = "/opt/campus-agent", dry_run: bool = False) -> Installer:
        self.said.clear()
        return Installer(Target(self.root, Path(prefix)), self.said.append, dry_run=dry_run)

    def tree(self) -> dict[str, str]:
        """Every path below, with its kind, mode and contents."""
        found: dict[str, str] = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            mode = oct(stat.S_IMODE(path.lstat().st_mode))
            if path.is_symlink():
                found[name] = f"link {path.readlink()}"
            else:
                found[name] = f"dir {mode}" if path.is_dir() else f"file {mode} {path.read_bytes().hex()}"
        return found

    def heard(self) -> set[str]:
        return {text.key for text in self.said}


@pytest.fixture
def image(tmp_path: Path) -> Image:
    root = tmp_path / "image"
    root.mkdir()
    return Image(root)


def test_everything_is_put_in_its_place(image: Image) -> None:
    image.installer(prefix="/srv/agent").install()
    tree = image.tree()
    unit = (image.root / "etc/systemd/system/campus-agent.service").read_text("utf-8")
    assert "ExecStart=/srv/agent/bin/campus-agent run\n" in unit
    assert tree["etc/systemd/system/multi-user.target.wants/campus-agent.service"] == (
        "link /etc/systemd/system/campus-agent.service"
    )
    assert tree["usr/local/bin/campus-agent"] == "link /srv/agent/bin/campus-agent"
    assert tree["etc/campus-agent/credentials"] == "dir 0o700"
    assert tree["etc/campus-agent"] == tree["etc/campus-agent/conf.d"] == "dir 0o750"
    assert tree["etc/campus-agent/agent.toml"] == f"file 0o640 {example_config().read_bytes().hex()}"
    assert {"etc/sysusers.d/campus-agent.conf", "etc/tmpfiles.d/campus-agent.conf"} <= tree.keys()
    assert "etc/udev/rules.d/99-campus-agent.rules" in tree
    assert "etc/systemd/system/campus-agent.service.d" not in tree


def test_a_second_installation_changes_nothing(image: Image) -> None:
    image.installer().install()
    before = image.tree()
    image.installer().install()
    assert image.tree() == before
    assert image.heard() == {"install.unchanged", "install.kept", "install.no-executable-yet"}


def test_an_upgrade_renews_the_unit_and_leaves_the_configuration(image: Image) -> None:
    image.installer(prefix="/opt/old").install()
    config = image.root / "etc/campus-agent/agent.toml"
    config.write_text("# ours\n", encoding="utf-8")
    image.installer(prefix="/opt/new").install()
    assert config.read_text("utf-8") == "# ours\n"
    assert "ExecStart=/opt/new/" in (image.root / "etc/systemd/system/campus-agent.service").read_text("utf-8")
    assert (image.root / "usr/local/bin/campus-agent").readlink() == Path("/opt/new/bin/campus-agent")


def test_a_purge_leaves_the_tree_as_it_was(image: Image) -> None:
    before = image.tree()
    image.installer().install()
    (image.root / "var/lib/campus-agent").mkdir()
    (image.root / "var/lib/campus-agent/journal.db").touch()
    image.installer().uninstall(purge=True)
    assert image.tree() == before


def test_directories_that_were_missing_go_again_and_those_that_stood_empty_stay(tmp_path: Path) -> None:
    root = tmp_path / "bare"
    root.mkdir()
    bare = Image(root)
    for folder in ("etc/sysusers.d", "etc/udev/rules.d", "etc/udev", "etc/systemd/system/multi-user.target.wants"):
        (root / folder).rmdir()
    before = bare.tree()
    bare.installer(prefix="/opt/old").install()
    bare.installer().install()
    bare.installer().uninstall(purge=True)
    assert bare.tree() == before


def test_a_removal_keeps_configuration_and_journal_and_nothing_else(image: Image) -> None:
    before = image.tree()
    image.installer().install()
    (image.root / "var/lib/campus-agent").mkdir()
    image.installer().uninstall(purge=False)
    left = image.tree().keys() - before.keys()
    assert {name.rpartition("/campus-agent")[0] for name in left if name.endswith("campus-agent")} == {"etc", "var/lib"}
    assert all(name.startswith(("etc/campus-agent", "var/lib/campus-agent")) for name in left)


def test_removing_what_was_never_installed_is_no_error(image: Image) -> None:
    before = image.tree()
    image.installer().uninstall(purge=True)
    assert image.tree() == before


def test_a_rehearsal_changes_nothing_and_names_the_same_places(image: Image) -> None:
    before = image.tree()
    image.installer(dry_run=True).install()
    assert image.tree() == before
    rehearsed = {str(text.args["path"]) for text in image.said}
    image.installer().install()
    assert {str(text.args["path"]) for text in image.said} == rehearsed
    installed = image.tree()
    image.installer(dry_run=True).uninstall(purge=True)
    assert image.tree() == installed


def test_without_timesyncd_the_service_may_ask_the_kernel_for_the_clock(image: Image) -> None:
    (image.root / "usr/lib/systemd/systemd-timesyncd").unlink()
    before = image.tree()
    image.installer().install()
    drop_in = image.root / "etc/systemd/system/campus-agent.service.d/10-kernel-clock.conf"
    assert "clock_adjtime" in drop_in.read_text("utf-8")
    image.installer().uninstall(purge=True)
    assert image.tree() == before


def test_a_command_of_the_same_name_that_is_not_ours_stays(image: Image) -> None:
    foreign = image.root / "usr/local/bin/campus-agent"
    foreign.write_text("#!/bin/sh\n", encoding="utf-8")
    image.installer().install()
    assert "install.foreign" in image.heard()
    image.installer().uninstall(purge=True)
    assert foreign.read_text("utf-8") == "#!/bin/sh\n"


def test_a_half_written_file_of_an_earlier_try_does_no_harm(image: Image) -> None:
    (image.root / "etc/tmpfiles.d/.campus-agent.conf.new").write_text("rubbish", encoding="utf-8")
    image.installer().install()
    assert not list(image.root.rglob("*.new"))


def test_an_image_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InstallError) as caught:
        Installer(Target(tmp_path / "missing", Path("/opt/campus-agent")), print).install()
    assert caught.value.text.key == "install.no-root"


def test_the_running_system_is_touched_by_root_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    installer = Installer(target(None, None), print)
    for work in (installer.install, partial(installer.uninstall, purge=True)):
        with pytest.raises(InstallError) as caught:
            work()
        assert caught.value.text.key == "install.not-root"


def test_an_installation_that_the_sandbox_hides_is_refused() -> None:
    with TemporaryDirectory(dir="/tmp") as folder:
        executable = Path(folder) / "bin/campus-agent"
        executable.parent.mkdir()
        with pytest.raises(InstallError) as missing:
            check_visible(Target(Path("/"), Path(folder)))
        assert missing.value.text.key == "install.no-executable"
        executable.touch(mode=0o755)
        with pytest.raises(InstallError) as hidden:
            check_visible(Target(Path("/"), Path(folder)))
        assert hidden.value.text.key == "install.hidden"


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/opt/campus-agent/bin/campus-agent", "/opt/campus-agent/bin/campus-agent"),
        ("/opt/校园 网关/bin/x", '"/opt/校园 网关/bin/x"'),
        ("/opt/100%/$x", "/opt/100%%/$$x"),
        ('/opt/"q"/x', '"/opt/\\"q\\"/x"'),
    ],
)
def test_a_path_survives_the_quoting_of_units(path: str, word: str) -> None:
    assert exec_word(path) == word
