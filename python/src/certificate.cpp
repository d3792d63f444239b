#include "bzmq/certificate.hpp"

#include "bind.hpp"
#include "errors.hpp"
#include <pybind11/stl.h>

namespace bzmq::python {
namespace {

using parts = std::tuple<std::string, py::object, std::map<std::string, std::string>>;

parts to_parts(const certificate& from) {
    return {
        from.public_key,
        from.secret.empty() ? py::object{py::none()} : py::object{py::str{from.secret.reveal()}},
        from.metadata};
}

}  // namespace

/// Key pairs as (public key, secret key or None, metadata).
void bind_certificates(py::module_& module) {
    module.def("generate_certificate",
               [] { return to_parts(value_or_raise(generate_certificate())); });
    module.def("load_certificate", [](const std::string& path) {
        return to_parts(value_or_raise(load_certificate(path)));
    });
    module.def("write_certificate",
               [](const std::string& prefix, const std::string& public_key,
                  const std::optional<std::string>& secret,
                  const std::map<std::string, std::string>& metadata, bool force) {
                   certificate made{public_key, secret_key{secret.value_or("")}, metadata};
                   value_or_raise(write_certificate(prefix, made, force));
               });
}

}  // namespace bzmq::python
