"""Sessions in Flask, kept on the server: a counter, accounts with flash messages, and plain cookies.

/start_counter  /count  /get_count  /clear_count    the counter in `session`
/signup  /login  /logout  /welcome                  accounts (users.py)
/users/<id>/edit                                    for this very user only
/plain_cookie                                       a cookie without Coatcheck
"""

import sys

from flask import Flask, make_response, render_template, request, session
from users import users

from coatcheck import Coatcheck
from coatcheck.flask import CoatcheckFlask, current_passage

app = Flask(__name__)
desk = Coatcheck("sqlite:///sessions.db")
CoatcheckFlask(app, desk, home="/welcome")  # debug mode below is enough to try it; the README says what more it takes
app.register_blueprint(users)


@app.get("/")
def index():
    return render_template("index.html")


@app.route("/start_counter")
def start_counter():
    session["count"] = 0
    return render_template("counter.html", says="New counter started!")


@app.route("/count")
def count():
    if isinstance(session.get("count"), int):
        # `session["count"] += 1` works too; this way no click is lost when two come at once.
        current_passage.increment("count")
        return render_template("counter.html", says=session["count"])
    return render_template("counter.html", says="No counter set!")


@app.route("/get_count")
def get_count():
    return render_template("counter.html", says=session.get("count", "No counter set!"))


@app.route("/clear_count")
def clear_count():
    session.pop("count", None)
    return render_template("counter.html", says="Counter cleared!")


@app.route("/plain_cookie")
def plain_cookie():
    # Flask's own cookies go on working beside the session. They are the browser's: anybody can read and write them.
    says = request.cookies.get("username", "no cookie yet")
    response = make_response(render_template("cookie.html", says=says))
    response.set_cookie("username", "eschoppik", httponly=True, samesite="Lax")
    return response


if __name__ == "__main__":
    app.run(debug=True, port=int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
