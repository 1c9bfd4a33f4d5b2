"""A dashboard over HTTPS whose session cookie has every protection a browser offers, and ends after 30 minutes."""

import sys
from datetime import timedelta

from flask import Flask, redirect, render_template, request, url_for

from coatcheck import Coatcheck, InvalidCredentials, TooManyAttempts
from coatcheck.flask import CoatcheckFlask, current_passage, log_in, log_out, login_required

app = Flask(__name__)
# There is no key to keep: the cookie is a random ticket, and what it stands for lies in the database.
desk = Coatcheck("sqlite:///dashboard.db", settings={"idle_timeout": timedelta(minutes=30)})
# HttpOnly, Secure, SameSite=Lax and __Host- are no settings. `tls` says that this server speaks HTTPS itself.
CoatcheckFlask(app, desk, tls=True, home="/dashboard")


@app.get("/")
def index():
    return redirect(url_for("dashboard"))


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "GET":
        return render_template("login.html")
    try:
        log_in(request.form["username"], request.form["password"])
    except (InvalidCredentials, TooManyAttempts) as refused:
        trouble = "Invalid credentials!" if refused.status == 401 else f"Wait {refused.retry_after} seconds."
        return render_template("login.html", trouble=trouble), refused.status
    return redirect(url_for("dashboard"), 303)


@app.get("/dashboard")
@login_required
def dashboard():
    return render_template("dashboard.html", session_of_this_device=current_passage.visit.session)


@app.post("/logout")
def logout():
    log_out()
    return redirect(url_for("login"), 303)


if __name__ == "__main__":
    # A certificate for the moment, signed by nobody: only for this machine, and your browser warns of it.
    app.run(debug=True, ssl_context="adhoc", port=int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
