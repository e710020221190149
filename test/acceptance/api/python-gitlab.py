"""Drives a gate with python-gitlab, as scripts against GitLab do. Each assertion that fails ends it."""

import os
import subprocess

import gitlab

URL = os.environ["GATE_URL"]
SECRET = os.environ["GATE_SECRET"]


def refused(status, call, *args, **options):
    try:
        call(*args, **options)
    except gitlab.exceptions.GitlabError as error:
        assert error.response_code == status, (status, error.response_code, error.error_message)
        return error.error_message
    raise AssertionError(f"{call} was not refused")


root = gitlab.Gitlab(URL, private_token=SECRET)
root.auth()
assert root.user.username == "root" and root.user.is_admin
assert "gitgate" in root.version()[1]

# Accounts.
carol = root.users.create({"username": "carol", "name": "Carol", "email": "carol@example.com", "password": "correct horse battery"})
assert root.users.get(carol.id).name == "Carol"
assert [user.username for user in root.users.list(username="CAROL")] == ["carol"]
refused(409, root.users.create, {"username": "carol", "name": "C", "email": "c@example.com", "password": "correct horse battery"})
carol.block()
assert root.users.get(carol.id).state == "blocked"
carol.unblock()

# Tokens: made, used, listed with filters, shown, rotated, revoked.
made = carol.personal_access_tokens.create({"name": "ci", "scopes": ["api", "write_repository"], "expires_at": "2099-01-31"})
assert made.expires_at == "2099-01-31" and made.scopes == ["api", "write_repository"] and made.active
as_carol = gitlab.Gitlab(URL, private_token=made.token)
as_carol.auth()
assert as_carol.user.id == carol.id
assert gitlab.Gitlab(URL, oauth_token=made.token).http_get("/user")["username"] == "carol"
for number in range(45):
    carol.personal_access_tokens.create({"name": f"bulk{number}", "scopes": ["read_api"]})
whole = root.personal_access_tokens.list(user_id=carol.id, get_all=True)
assert len(whole) == 46, len(whole)
lazily = root.personal_access_tokens.list(user_id=carol.id, iterator=True, per_page=7)
assert lazily.total == 46 and len(list(lazily)) == 46
assert [token.name for token in as_carol.personal_access_tokens.list(search="bulk1", sort="name_desc", per_page=2, get_all=False)] == ["bulk19", "bulk18"]
assert [token.name for token in as_carol.personal_access_tokens.list(expires_after="2099-01-31")] == ["ci"]
assert as_carol.personal_access_tokens.list(state="inactive") == []
assert as_carol.http_get("/personal_access_tokens/self")["id"] == made.id
assert as_carol.http_get(f"/personal_access_tokens/{made.id}")["name"] == "ci"
rotated = as_carol.http_post(f"/personal_access_tokens/{made.id}/rotate", post_data={"expires_at": "2099-02-01"})
assert rotated["expires_at"] == "2099-02-01" and rotated["token"] != made.token
as_carol = gitlab.Gitlab(URL, private_token=rotated["token"])
as_carol.personal_access_tokens.delete(whole[0].id)
assert [token.id for token in as_carol.personal_access_tokens.list(revoked=True, search="bulk", get_all=False)] == [whole[0].id]

# What is refused, with GitLab's statuses and words.
assert refused(403, as_carol.users.create, {"username": "d", "name": "d", "email": "d@example.com", "password": "correct horse battery"}) == "403 Forbidden"
assert refused(401, as_carol.http_get, "/personal_access_tokens/999999") == "401 Unauthorized"
assert refused(400, as_carol.personal_access_tokens.list, state="sleeping") == "state does not have a valid value"
assert refused(404, root.users.get, 999999) == "404 User Not Found"
refused(401, gitlab.Gitlab(URL, private_token="nonsense").auth)

# Impersonation tokens, and sudo.
support = carol.impersonationtokens.create({"name": "support", "scopes": ["api"]})
assert support.impersonation and gitlab.Gitlab(URL, private_token=support.token).http_get("/user")["username"] == "carol"
assert carol.impersonationtokens.get(support.id).name == "support"
assert [token.id for token in carol.impersonationtokens.list(state="active")] == [support.id]
carol.impersonationtokens.delete(support.id)
assert [token.id for token in carol.impersonationtokens.list(state="inactive")] == [support.id]
assert root.http_get("/user", sudo="carol")["username"] == "carol"
assert {token.user_id for token in root.personal_access_tokens.list(sudo=carol.id)} == {carol.id}
refused(404, root.http_get, "/user", sudo="nobody")

# Settings.
settings = root.settings.get()
assert settings.enforce_pat_expiration is True
settings.max_personal_access_token_lifetime = 90
settings.personal_access_token_prefix = "py-"
settings.save()
assert root.settings.get().max_personal_access_token_lifetime == 90
assert carol.personal_access_tokens.create({"name": "short", "scopes": ["api"]}).token.startswith("py-")
refused(422, carol.personal_access_tokens.create, {"name": "long", "scopes": ["api"], "expires_at": "2099-01-31"})

# Repositories, by which Git finds what the API lists.
project = root.projects.get("root/app")
assert project.path_with_namespace == "root/app" and root.projects.get(project.id).name == "app"
remote = project.http_url_to_repo.replace("://", f"://any:{SECRET}@")
refs = subprocess.run(["git", "ls-remote", remote], check=True, capture_output=True, text=True).stdout
assert "refs/heads/main" in refs
project.protectedbranches.create({"name": "main", "push_access_level": 40})
assert [branch.name for branch in project.protectedbranches.list()] == ["main"]
project.protectedbranches.delete("main")
print("done")
