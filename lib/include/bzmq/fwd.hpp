#pragma once

/// Names without definitions, for headers that only pass these types on.
namespace bzmq {

class configuration;
class data;
class endpoint;
class gateway;
class endpoint_core;
class endpoint_id;
class error;
class message;
class pending_request;
class proxy_state;
class publisher;
class request_room;
class request_state;
class responder;
class responder_state;
class service;
class service_state;
class status;
class status_queue;
class status_subscriber;
class store;
class store_event_queue;
class store_state;
class subscriber;
class subscriber_queue;
class topic;
class worker;
class worker_state;
class write_state;

}  // namespace bzmq
