#include "convert.hpp"

#include "errors.hpp"
#include <datetime.h>
#include <structseq.h>

#include <chrono>
#include <cmath>
#include <cstring>

namespace bzmq::python {
namespace {

// No decoder takes more (docs/data-model.md), and a list that contains itself must end somewhere.
constexpr int depth_max = 64;
constexpr std::int64_t billion = 1'000'000'000;

/// Python's types that values convert from and to. Looked up once and never given back: they live
/// as long as the interpreter.
struct types {
    PyObject* count = of("bzmq._types", "Count");
    PyObject* enumerator = of("bzmq._types", "Enum");
    PyObject* port = of("bzmq._types", "Port");
    PyObject* timestamp = of("bzmq._types", "Timestamp");
    PyObject* timespan = of("bzmq._types", "Timespan");
    PyObject* frozendict = of("bzmq._types", "frozendict");
    PyObject* v4_address = of("ipaddress", "IPv4Address");
    PyObject* v6_address = of("ipaddress", "IPv6Address");
    PyObject* v4_network = of("ipaddress", "IPv4Network");
    PyObject* v6_network = of("ipaddress", "IPv6Network");
    PyObject* v4_interface = of("ipaddress", "IPv4Interface");
    PyObject* v6_interface = of("ipaddress", "IPv6Interface");

    static PyObject* of(const char* module, const char* name) {
        return py::object{py::module_::import(module).attr(name)}.release().ptr();
    }
    static const types& get() {
        static const types* const known = [] {
            PyDateTime_IMPORT;
            return new types;
        }();
        return *known;
    }
};

bool is_a(PyObject* value, PyObject* type) {
    return PyObject_TypeCheck(value, reinterpret_cast<PyTypeObject*>(type)) != 0;
}

py::object call(PyObject* type, const py::object& argument) {
    return py::reinterpret_steal<py::object>(check(PyObject_CallOneArg(type, argument.ptr())));
}

// -- To bzmq --------------------------------------------------------------------------------------

data from_number(PyObject* value) {
    int overflow = 0;
    const auto number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (number == -1 && PyErr_Occurred() != nullptr) {
        throw py::error_already_set{};
    }
    if (overflow != 0) {
        raise(PyExc_OverflowError, "an int must fit 64 signed bits; a Count holds up to 2**64 - 1");
    }
    return data{std::int64_t{number}};
}

data from_count(PyObject* value) {
    const auto number = PyLong_AsUnsignedLongLong(value);
    if (PyErr_Occurred() != nullptr) {
        throw py::error_already_set{};
    }
    return data{std::uint64_t{number}};
}

std::string_view bytes_view(PyObject* value) {
    return {PyBytes_AS_STRING(value), static_cast<std::size_t>(PyBytes_GET_SIZE(value))};
}

std::string_view utf8(PyObject* value) {
    Py_ssize_t size = 0;
    const char* text = check(PyUnicode_AsUTF8AndSize(value, &size));
    return {text, static_cast<std::size_t>(size)};
}

timespan from_timedelta(PyObject* value) {
    if (is_a(value, types::get().timespan)) {
        return timespan{py::handle{value}.attr("nanoseconds").cast<std::int64_t>()};
    }
    const auto seconds = std::int64_t{PyDateTime_DELTA_GET_DAYS(value)} * 86'400
                         + PyDateTime_DELTA_GET_SECONDS(value);
    const auto micros = std::int64_t{PyDateTime_DELTA_GET_MICROSECONDS(value)};
    std::int64_t total = 0;
    if (__builtin_mul_overflow(seconds, billion, &total)
        || __builtin_add_overflow(total, micros * 1000, &total)) {
        raise(PyExc_OverflowError, "a timespan must be within 292 years");
    }
    return timespan{total};
}

timestamp from_datetime(py::object value) {
    const auto& known = types::get();
    if (is_a(value.ptr(), known.timestamp)) {
        return timestamp{timespan{value.attr("nanoseconds").cast<std::int64_t>()}};
    }
    // As everywhere in Python, one without a zone means local time.
    if (PyDateTime_DATE_GET_TZINFO(value.ptr()) != PyDateTime_TimeZone_UTC) {
        value = value.attr("astimezone")(py::handle{PyDateTime_TimeZone_UTC});
    }
    auto* at = value.ptr();
    const std::chrono::year_month_day date{
        std::chrono::year{PyDateTime_GET_YEAR(at)},
        std::chrono::month{static_cast<unsigned>(PyDateTime_GET_MONTH(at))},
        std::chrono::day{static_cast<unsigned>(PyDateTime_GET_DAY(at))}};
    const auto days = std::int64_t{std::chrono::sys_days{date}.time_since_epoch().count()};
    const auto seconds = days * 86'400 + PyDateTime_DATE_GET_HOUR(at) * 3600
                         + PyDateTime_DATE_GET_MINUTE(at) * 60 + PyDateTime_DATE_GET_SECOND(at);
    std::int64_t total = 0;
    if (__builtin_mul_overflow(seconds, billion, &total)
        || __builtin_add_overflow(total, std::int64_t{PyDateTime_DATE_GET_MICROSECOND(at)} * 1000,
                                  &total)) {
        raise(PyExc_OverflowError, "a timestamp must lie between 1677-09-21 and 2262-04-11");
    }
    return timestamp{timespan{total}};
}

address from_address(py::handle value) {
    const auto packed = py::object{value.attr("packed")};
    const auto bytes = bytes_view(packed.ptr());
    if (bytes.size() == 4) {
        address::v4_bytes_type four{};
        std::memcpy(four.data(), bytes.data(), four.size());
        return address{four};
    }
    if (!value.attr("scope_id").is_none()) {
        raise(PyExc_TypeError, "an address with a scope (fe80::1%eth0) has no type of bzmq's");
    }
    address::bytes_type all{};
    std::memcpy(all.data(), bytes.data(), all.size());
    return address{all};
}

data from_other(py::handle value, int depth);

data from_any(py::handle value, int depth) {
    if (depth > depth_max) {
        raise(error{ec::invalid_data, "nested deeper than 64 levels"});
    }
    auto* at = value.ptr();
    if (PyUnicode_Check(at)) {
        return data{to_name(value)};
    }
    if (PyBool_Check(at)) {
        return data{at == Py_True};
    }
    if (PyLong_Check(at)) {
        return is_a(at, types::get().count) ? from_count(at) : from_number(at);
    }
    if (PyFloat_Check(at)) {
        return data{PyFloat_AS_DOUBLE(at)};
    }
    if (at == Py_None) {
        return data{};
    }
    if (PyBytes_Check(at)) {
        return data{bytes_view(at)};
    }
    // Borrowed sequences and dicts may change while an element's own code runs (a property of an
    // address, say), so that each step looks at the size again and holds what it works on.
    if (PyTuple_Check(at) || PyList_Check(at)) {
        vector all;
        all.reserve(static_cast<std::size_t>(PySequence_Fast_GET_SIZE(at)));
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(at); ++i) {
            const auto each = py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(at, i));
            all.push_back(from_any(each, depth + 1));
        }
        return data{std::move(all)};
    }
    if (PyAnySet_Check(at)) {
        set all;
        for (const auto each : py::reinterpret_borrow<py::object>(value)) {
            all.insert(from_any(each, depth + 1));
        }
        return data{std::move(all)};
    }
    if (PyDict_Check(at)) {
        table all;
        const auto items = py::reinterpret_steal<py::list>(check(PyDict_Items(at)));
        for (const auto each : items) {
            all.insert_or_assign(from_any(PyTuple_GET_ITEM(each.ptr(), 0), depth + 1),
                                 from_any(PyTuple_GET_ITEM(each.ptr(), 1), depth + 1));
        }
        return data{std::move(all)};
    }
    return from_other(value, depth);
}

data from_other(py::handle value, int depth) {
    const auto& known = types::get();
    auto* at = value.ptr();
    if (PyDelta_Check(at)) {
        return data{from_timedelta(at)};
    }
    if (PyDateTime_Check(at)) {
        return data{from_datetime(py::reinterpret_borrow<py::object>(value))};
    }
    // An interface (10.1.2.3/8) is a kind of address in Python; here it names neither plainly.
    if (is_a(at, known.v4_interface) || is_a(at, known.v6_interface)) {
        raise(PyExc_TypeError,
              "an interface is neither address nor subnet; use its .ip or .network");
    }
    if (is_a(at, known.v4_address) || is_a(at, known.v6_address)) {
        return data{from_address(value)};
    }
    if (is_a(at, known.v4_network) || is_a(at, known.v6_network)) {
        return data{subnet{from_address(value.attr("network_address")),
                           value.attr("prefixlen").cast<unsigned>()}};
    }
    if (is_a(at, known.port)) {
        return data{port{value.attr("_number").cast<std::uint16_t>(),
                         static_cast<port::protocol>(value.attr("_protocol").cast<int>())}};
    }
    if (is_a(at, known.enumerator)) {
        return data{enum_value{to_name(value.attr("name"))}};
    }
    if (PyByteArray_Check(at) || PyMemoryView_Check(at)) {
        const auto copy = py::reinterpret_steal<py::object>(check(PyBytes_FromObject(at)));
        return data{bytes_view(copy.ptr())};
    }
    if (py::isinstance<data>(value)) {
        return value.cast<const data&>();
    }
    // Own types that stand for a value: an event, a topic.
    const auto convert = py::getattr(value, "__bzmq_data__", py::none());
    if (!convert.is_none()) {
        const py::object stand_in = convert();
        return from_any(stand_in, depth + 1);
    }
    if (PyMapping_Check(at) && py::hasattr(value, "items")) {
        return from_any(py::dict{py::reinterpret_borrow<py::object>(value)}, depth);
    }
    raise(PyExc_TypeError, std::string{"bzmq has no type for a "} + Py_TYPE(at)->tp_name);
}

// -- To Python ------------------------------------------------------------------------------------

py::object bytes_object(const void* from, std::size_t size) {
    return py::reinterpret_steal<py::object>(check(
        PyBytes_FromStringAndSize(static_cast<const char*>(from), static_cast<Py_ssize_t>(size))));
}

py::object address_to_python(const address& value) {
    const auto& known = types::get();
    return value.is_v4() ? call(known.v4_address, bytes_object(value.v4_bytes().data(), 4))
                         : call(known.v6_address, bytes_object(value.bytes().data(), 16));
}

struct builder {
    form how;
    /// Within a set, or in a key: what is made must be hashable.
    bool hashable;

    [[nodiscard]] bool freezes() const { return hashable || how == form::frozen; }
    [[nodiscard]] builder inside() const { return {how, true}; }

    py::object operator()(none) const { return py::none(); }
    py::object operator()(boolean value) const { return py::bool_{value}; }
    py::object operator()(count value) const {
        return call(types::get().count,
                    py::reinterpret_steal<py::object>(check(PyLong_FromUnsignedLongLong(value))));
    }
    py::object operator()(integer value) const {
        return py::reinterpret_steal<py::object>(check(PyLong_FromLongLong(value)));
    }
    py::object operator()(real value) const {
        return py::reinterpret_steal<py::object>(check(PyFloat_FromDouble(value)));
    }
    py::object operator()(const std::string& value) const { return text_to_python(value, how); }
    py::object operator()(const address& value) const { return address_to_python(value); }
    py::object operator()(const subnet& value) const {
        const auto& known = types::get();
        const auto& network = value.network();
        const auto packed = value.is_v4() ? bytes_object(network.v4_bytes().data(), 4)
                                          : bytes_object(network.bytes().data(), 16);
        return call(value.is_v4() ? known.v4_network : known.v6_network,
                    py::make_tuple(packed, value.prefix()));
    }
    py::object operator()(const port& value) const {
        return py::handle{types::get().port}(value.number(), static_cast<int>(value.type()));
    }
    py::object operator()(timestamp value) const { return timestamp_to_python(value); }
    py::object operator()(timespan value) const { return timespan_to_python(value); }
    py::object operator()(const enum_value& value) const {
        return call(types::get().enumerator, name_to_python(value.name()));
    }
    py::object operator()(const set& value) const {
        auto all = py::reinterpret_steal<py::object>(
            check(freezes() ? PyFrozenSet_New(nullptr) : PySet_New(nullptr)));
        for (const auto& each : value) {
            if (PySet_Add(all.ptr(), visit(inside(), each).ptr()) != 0) {
                throw py::error_already_set{};
            }
        }
        return all;
    }
    py::object operator()(const table& value) const {
        py::dict all;
        for (const auto& [key, held] : value) {
            const auto made = visit(inside(), key);
            if (PyDict_SetItem(all.ptr(), made.ptr(), visit(*this, held).ptr()) != 0) {
                throw py::error_already_set{};
            }
        }
        return freezes() ? call(types::get().frozendict, all) : py::object{std::move(all)};
    }
    py::object operator()(const vector& value) const {
        auto all = py::reinterpret_steal<py::object>(
            check(PyTuple_New(static_cast<Py_ssize_t>(value.size()))));
        Py_ssize_t i = 0;
        for (const auto& each : value) {
            PyTuple_SET_ITEM(all.ptr(), i++, visit(*this, each).release().ptr());
        }
        return all;
    }
};

PyStructSequence_Field message_fields[] = {
    {"topic", "str: the topic under which it was published"},
    {"value", "the value"},
    {"origin", "str: the id of the endpoint that published it"},
    {"hops", "int: the links that it crossed; 0 for one published at this endpoint"},
    {"sent_at", "datetime: when it left its publisher, by the publisher's clock"},
    {"reliable", "bool: published in reliable mode"},
    {nullptr, nullptr}};
PyStructSequence_Desc message_desc = {
    "bzmq.Message", "One received message: the tuple (topic, value), with more known by name.",
    message_fields, 2};

PyTypeObject* message_type() {
    static PyTypeObject* const type = check(PyStructSequence_NewType(&message_desc));
    return type;
}

}  // namespace

data to_data(py::handle value) {
    return from_any(value, 0);
}

py::object to_python(const data& value, form how) {
    return visit(builder{how, false}, value);
}

std::string to_path(py::handle value) {
    return to_name(py::reinterpret_steal<py::object>(check(PyOS_FSPath(value.ptr()))));
}

std::string to_name(py::handle value) {
    auto* at = value.ptr();
    if (PyUnicode_Check(at)) {
        Py_ssize_t size = 0;
        if (const char* text = PyUnicode_AsUTF8AndSize(at, &size)) {
            return {text, static_cast<std::size_t>(size)};
        }
        PyErr_Clear();  // Lone surrogates: bytes that came in as they were.
        const auto bytes = py::reinterpret_steal<py::object>(
            check(PyUnicode_AsEncodedString(at, "utf-8", "surrogateescape")));
        return std::string{bytes_view(bytes.ptr())};
    }
    if (PyBytes_Check(at)) {
        return std::string{bytes_view(at)};
    }
    if (py::hasattr(value, "__bzmq_data__")) {
        const auto text = py::object{py::str(value)};
        return std::string{utf8(text.ptr())};
    }
    raise(PyExc_TypeError,
          std::string{"expected str, bytes or Topic, not "} + Py_TYPE(at)->tp_name);
}

py::object name_to_python(std::string_view name) {
    return py::reinterpret_steal<py::object>(check(PyUnicode_DecodeUTF8(
        name.data(), static_cast<Py_ssize_t>(name.size()), "surrogateescape")));
}

py::object text_to_python(std::string_view text, form how) {
    const auto size = static_cast<Py_ssize_t>(text.size());
    if (how != form::bytes) {
        if (auto* made = PyUnicode_DecodeUTF8(text.data(), size, nullptr)) {
            return py::reinterpret_steal<py::object>(made);
        }
        if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) == 0) {
            throw py::error_already_set{};
        }
        PyErr_Clear();
    }
    return bytes_object(text.data(), text.size());
}

std::optional<timespan> to_timespan(py::handle value) {
    types::get();
    if (value.is_none()) {
        return std::nullopt;
    }
    if (PyDelta_Check(value.ptr())) {
        return from_timedelta(value.ptr());
    }
    const auto seconds = PyFloat_AsDouble(value.ptr());
    if (seconds == -1.0 && PyErr_Occurred() != nullptr) {
        PyErr_Clear();
        raise(PyExc_TypeError,
              std::string{"expected seconds or a timedelta, not "} + Py_TYPE(value.ptr())->tp_name);
    }
    if (std::isnan(seconds)) {
        raise(PyExc_ValueError, "a time must not be NaN");
    }
    constexpr double limit = 9.2e9;
    if (std::fabs(seconds) > limit) {
        return seconds > 0 ? timespan::max() : timespan::min();
    }
    return timespan{std::llround(seconds * 1e9)};
}

py::object timespan_to_python(timespan value) {
    const auto& known = types::get();
    if (value.count() % 1000 != 0) {
        return call(known.timespan, py::int_{value.count()});
    }
    const auto micros = value.count() / 1000;
    auto seconds = micros / 1'000'000;
    auto rest = micros % 1'000'000;
    if (rest < 0) {
        rest += 1'000'000;
        --seconds;
    }
    auto days = seconds / 86'400;
    auto second = seconds % 86'400;
    if (second < 0) {
        second += 86'400;
        --days;
    }
    return py::reinterpret_steal<py::object>(check(
        PyDelta_FromDSU(static_cast<int>(days), static_cast<int>(second), static_cast<int>(rest))));
}

py::object timestamp_to_python(timestamp value) {
    const auto& known = types::get();
    const auto total = value.time_since_epoch();
    if (total.count() % 1000 != 0) {
        return call(known.timestamp, py::int_{total.count()});
    }
    const auto midnight = std::chrono::floor<std::chrono::days>(value);
    const std::chrono::year_month_day date{midnight};
    const std::chrono::hh_mm_ss time{
        std::chrono::floor<std::chrono::microseconds>(value - midnight)};
    return py::reinterpret_steal<py::object>(check(PyDateTimeAPI->DateTime_FromDateAndTime(
        static_cast<int>(date.year()), static_cast<int>(static_cast<unsigned>(date.month())),
        static_cast<int>(static_cast<unsigned>(date.day())), static_cast<int>(time.hours().count()),
        static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()),
        static_cast<int>(time.subseconds().count()), PyDateTime_TimeZone_UTC,
        PyDateTimeAPI->DateTimeType)));
}

std::string to_text(const endpoint_id& id) {
    return to_string(id);
}

endpoint_id to_id(std::string_view text) {
    if (const auto id = endpoint_id::parse(text)) {
        return *id;
    }
    raise(PyExc_ValueError, "not an endpoint id: " + std::string{text});
}

py::object message_maker::type() {
    return py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(message_type()));
}

py::object message_maker::value_of(const message& from) const {
    if (how_ == form::raw) {
        const auto payload = from.payload();
        return bytes_object(reinterpret_cast<const char*>(payload.data()), payload.size());
    }
    // Text is what most messages carry; it needs no `data` in between.
    const auto text = from.text();
    return text.data() != nullptr ? text_to_python(text, how_) : to_python(from.value(), how_);
}

py::object message_maker::make(const message& from) {
    if (!topic_ || topic_text_ != from.topic()) {
        topic_text_ = from.topic();
        topic_ =
            how_ == form::bytes ? text_to_python(from.topic(), how_) : name_to_python(from.topic());
    }
    if (!origin_text_ || origin_ != from.origin()) {
        origin_ = from.origin();
        origin_text_ = py::str{to_string(origin_)};
    }
    if (!sent_time_ || sent_at_ != from.sent_at()) {
        sent_at_ = from.sent_at();
        sent_time_ = timestamp_to_python(sent_at_);
    }
    auto value = value_of(from);

    auto* made = check(PyStructSequence_New(message_type()));
    PyStructSequence_SET_ITEM(made, 0, py::object{topic_}.release().ptr());
    PyStructSequence_SET_ITEM(made, 1, value.release().ptr());
    PyStructSequence_SET_ITEM(made, 2, py::object{origin_text_}.release().ptr());
    PyStructSequence_SET_ITEM(made, 3, PyLong_FromUnsignedLong(from.hops()));
    PyStructSequence_SET_ITEM(made, 4, py::object{sent_time_}.release().ptr());
    PyStructSequence_SET_ITEM(made, 5, PyBool_FromLong(from.mode() == delivery_mode::reliable));
    return py::reinterpret_steal<py::object>(made);
}

}  // namespace bzmq::python
