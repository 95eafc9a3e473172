CREATE TABLE users (
  id BIGINT NOT NULL,
  name VARCHAR(80) NOT NULL,
  email VARCHAR(120) NOT NULL,
  country CHAR(2) NOT NULL,
  created_at DATETIME NOT NULL,
  PRIMARY KEY (id),
  KEY email (email)
);
CREATE TABLE orders (
  id BIGINT NOT NULL,
  user_id BIGINT NOT NULL,
  status ENUM('new', 'paid', 'shipped', 'returned') NOT NULL,
  currency CHAR(3) NOT NULL,
  total DECIMAL(10,2) NOT NULL,
  created_at DATETIME NOT NULL,
  PRIMARY KEY (id),
  KEY user_id (user_id, created_at),
  KEY created_at (created_at)
);
CREATE TABLE order_items (
  order_id BIGINT NOT NULL,
  line SMALLINT NOT NULL,
  user_id BIGINT NOT NULL,
  product_id INT NOT NULL,
  quantity INT NOT NULL,
  price DECIMAL(10,2) NOT NULL,
  PRIMARY KEY (order_id, line),
  KEY user_id (user_id),
  KEY product_id (product_id)
);
CREATE TABLE products (
  id INT NOT NULL,
  name VARCHAR(80) NOT NULL,
  category VARCHAR(20) NOT NULL,
  price DECIMAL(10,2) NOT NULL,
  PRIMARY KEY (id),
  KEY category (category)
);
CREATE TABLE currencies (
  code CHAR(3) NOT NULL,
  name VARCHAR(40) NOT NULL,
  per_euro DECIMAL(12,4) NOT NULL,
  PRIMARY KEY (code)
);
CREATE TABLE settings (
  name VARCHAR(40) NOT NULL,
  value VARCHAR(200) NOT NULL,
  PRIMARY KEY (name)
);
