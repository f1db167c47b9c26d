"""Folders of empty files, since no image is opened to build a table."""


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def people(folder, identities, name="{pid}/cam{cam}/{i}.jpg", cameras=3, images=2):
    """Images of persons p1, p2, ... before cameras 0, 1, ..., named by a pattern."""
    return touch(
        folder,
        *(
            name.format(pid=f"p{pid}", cam=cam, i=i)
            for pid in range(1, identities + 1)
            for cam in range(cameras)
            for i in range(images)
        ),
    )
