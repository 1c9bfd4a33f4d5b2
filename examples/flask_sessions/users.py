"""Accounts: sign up, log in, a page for those who are logged in, one for each of them alone, log out."""

from flask import Blueprint, flash, redirect, render_template, request, session, url_for

from coatcheck import Forbidden, InvalidCredentials, InvalidInput, NotAuthenticated, TooManyAttempts, UsernameTaken
from coatcheck.flask import log_in, log_out, login_required, same_account_required, sign_up

users = Blueprint("users", __name__)

TROUBLE = {
    "username_invalid": "A user name has 3 to 32 letters, digits, dots, - and _, and begins with a letter or digit.",
    "password_too_short": "A password has at least 15 characters. Four or five words make a good one.",
}


@users.route("/signup", methods=["GET", "POST"])
def signup():
    if request.method == "POST":
        try:
            sign_up(username=request.form["username"], password=request.form["password"])
        except UsernameTaken:
            flash("This user name is taken. Please choose another one.")
        except InvalidInput as refused:
            for fault in refused.errors:
                flash(TROUBLE.get(fault.reason, "Invalid submission. Please try again."))
        else:
            flash("Your account is open. Log in with it.")
            return redirect(url_for("users.login"), 303)
    return render_template("signup.html")


@users.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        try:
            log_in(request.form["username"], request.form["password"])
        except InvalidCredentials:
            flash("Invalid credentials. Please try again.")
        except TooManyAttempts as refused:
            flash(f"Too many attempts. Wait {refused.retry_after} seconds.")
        else:
            flash("You've successfully logged in!")
            return redirect(url_for("users.welcome"), 303)
    return render_template("login.html")


@users.route("/welcome")
@login_required
def welcome():
    return render_template("welcome.html", greeting=session.get("greeting", "Welcome"))


@users.route("/users/<id>/edit", methods=["GET", "POST"])
@login_required
@same_account_required("id")
def edit(id):
    if request.method == "POST":
        session["greeting"] = request.form["greeting"][:60]
        flash("Saved.")
        return redirect(url_for("users.welcome"), 303)
    return render_template("edit.html", id=id, greeting=session.get("greeting", "Welcome"))


@users.route("/logout", methods=["GET", "POST"])
def logout():
    if request.method == "POST":
        log_out()
        flash("You have been signed out.")
        return redirect(url_for("users.login"), 303)
    return render_template("logout.html")  # a link only asks: a picture on another site could be such a link


@users.app_errorhandler(NotAuthenticated)
def ensure_logged_in(_error):
    flash("Please log in first")
    return redirect(url_for("users.login"), 303)


@users.app_errorhandler(Forbidden)
def ensure_correct_user(_error):
    flash("Not Authorized")
    return redirect(url_for("users.welcome"), 303)
