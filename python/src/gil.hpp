#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

namespace bzmq::python {

/// Gives the GIL to others for as long as it lives.
///
/// As pybind11's `gil_scoped_release`, but for a daemon thread that comes back when the interpreter
/// is ending: Python ends such threads by unwinding them, which no destructor survives. It sleeps
/// here instead, until the process is gone.
class without_gil {
  public:
    without_gil() : state_(PyEval_SaveThread()) {}
    without_gil(const without_gil&) = delete;
    without_gil& operator=(const without_gil&) = delete;
    ~without_gil() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {
            for (;;) {
                ::pause();
            }
        }
    }

  private:
    PyThreadState* state_;
};

/// Takes the GIL back for a while, in a thread that has given it away by `without_gil`.
class with_gil {
  public:
    with_gil() {
        try {
            state_ = PyGILState_Ensure();
        } catch (...) {
            for (;;) {
                ::pause();
            }
        }
    }
    with_gil(const with_gil&) = delete;
    with_gil& operator=(const with_gil&) = delete;
    ~with_gil() { PyGILState_Release(state_); }

  private:
    PyGILState_STATE state_{};
};

}  // namespace bzmq::python
